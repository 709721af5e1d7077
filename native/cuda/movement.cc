// Launches the kernels of kernels/movement.cu.

#include <algorithm>
#include <limits>

#include "../kernels.h"
#include "../strides.h"
#include "launch.h"

namespace twotower {
namespace {

using cuda::kTileSide;
using cuda::LaunchBlocks;
using cuda::LaunchFor;
using cuda::Visit;

void Add(Visit& visit, size_t size, size_t x_stride, size_t out_stride) {
  visit.sizes[visit.rank] = size;
  visit.x_strides[visit.rank] = x_stride;
  visit.out_strides[visit.rank] = out_stride;
  visit.rank++;
}

size_t TilesOf(size_t size) { return (size + kTileSide - 1) / kTileSide; }

bool IsOf16(size_t bytes) { return bytes % 16 == 0; }

// Copies `run` contiguous elements at each index that is visited.
void CopyRuns(Visit visit, size_t run, size_t element_bytes, const char* x, char* out) {
  size_t count = run;
  bool is_of_16 = IsOf16(run * element_bytes) && IsOf16(reinterpret_cast<uintptr_t>(x)) &&
                  IsOf16(reinterpret_cast<uintptr_t>(out));
  for (int d = 0; d < visit.rank; d++) {
    count *= visit.sizes[d];
    is_of_16 = is_of_16 && IsOf16(visit.x_strides[d] * element_bytes) &&
               IsOf16(visit.out_strides[d] * element_bytes);
  }
  if (element_bytes == 1) return LaunchFor(count, "CopyRunsOfBytes", count, run, visit, x, out);
  if (!is_of_16) return LaunchFor(count, "CopyRunsOfWords", count, run, visit, x, out);
  for (int d = 0; d < visit.rank; d++) {
    visit.x_strides[d] /= 4;
    visit.out_strides[d] /= 4;
  }
  LaunchFor(count / 4, "CopyRunsOf4Words", count / 4, run / 4, visit, x, out);
}

}  // namespace

void Transpose(const Integers& shape, const Integers& permutation, const Values& x,
               const Values& out) {
  const Permuted p = PermutedFrom(shape, permutation);
  const size_t last = p.sizes.size() - 1;
  const Integers out_strides = StridesOf(p.sizes);
  size_t side = 0;
  while (p.steps[side] != 1) side++;
  Visit others{};
  for (size_t d = 0; d < last; d++) {
    if (d != side) Add(others, p.sizes[d], p.steps[d], out_strides[d]);
  }
  if (side == last) {
    return CopyRuns(others, p.sizes[last], x.ElementBytes(), x.As<char>(), out.As<char>());
  }
  const size_t rows = p.sizes[last];
  const size_t columns = p.sizes[side];
  const size_t x_stride = p.steps[last];
  const size_t out_stride = out_strides[side];
  if (x.type == Type::kBool) {
    Add(others, columns, 1, out_stride);
    Add(others, rows, x_stride, 1);
    return CopyRuns(others, 1, 1, x.As<char>(), out.As<char>());
  }
  const size_t tiles = TilesOf(rows) * TilesOf(columns);
  size_t count = tiles;
  for (int d = 0; d < others.rank; d++) count *= others.sizes[d];
  LaunchBlocks(count, "TransposeWords", count, tiles, others, rows, columns, x_stride, out_stride,
               x.data, out.data);
}

void CopyBox(const Box& box, const Values& x, const Values& out) {
  const BoxRuns runs(box);
  const size_t bytes = x.ElementBytes();
  Visit visit{};
  for (size_t d = 0; d < runs.outer; d++) {
    if (box.size[d] != 1) Add(visit, box.size[d], runs.x_strides[d], runs.out_strides[d]);
  }
  CopyRuns(visit, runs.run, bytes, x.As<char>() + runs.x_first * bytes,
           out.As<char>() + runs.out_first * bytes);
}

void Gather(const Extents& e, const Values& x, const Span<int32_t>& indices, const Values& out) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (x.type == Type::kBool) {
    return LaunchFor(out.length, "GatherBytes", out.length, e.reduced, indices.length, e.inner,
                     x.data, indices.data, uint8_t{0}, out.data);
  }
  const uint32_t missing = cuda::BitsOf(x.type == Type::kFloat32 ? kNaN : 0, x.type);
  LaunchFor(out.length, "GatherWords", out.length, e.reduced, indices.length, e.inner, x.data,
            indices.data, missing, out.data);
}

void OneHot(const Span<int32_t>& indices, int64_t depth, double on, double off, const Values& out) {
  const auto columns = static_cast<size_t>(depth);
  if (out.type == Type::kBool) {
    return LaunchFor(out.length, "OneHotBytes", out.length, columns, indices.data,
                     static_cast<uint8_t>(on != 0), static_cast<uint8_t>(off != 0), out.data);
  }
  LaunchFor(out.length, "OneHotWords", out.length, columns, indices.data,
            cuda::BitsOf(on, out.type), cuda::BitsOf(off, out.type), out.data);
}

void Tile(const Integers& shape, const Integers& times, const Values& x, const Values& out) {
  const Integers strides = StridesOf(shape);
  Visit visit{};
  for (size_t d = 0; d < shape.size(); d++) {
    Add(visit, shape[d] * times[d], strides[d], shape[d]);
  }
  const char* kernel = x.type == Type::kBool ? "TileBytes" : "TileWords";
  LaunchFor(out.length, kernel, out.length, visit, x.data, out.data);
}

void ImagesFromBytes(size_t pixels, size_t channels, const uint8_t* bytes, const float* table,
                     float* out) {
  const size_t count = pixels * channels;
  LaunchFor(count, "ImagesFromBytes", count, channels, bytes, table, out);
}

void ResizeBilinear(const Resizing& r, const float* x, float* out) {
  const auto ratio = [&](int64_t old_size, int64_t new_size) {
    const bool aligned = r.align_corners && new_size > 1;
    return static_cast<double>(aligned ? old_size - 1 : old_size) /
           static_cast<double>(aligned ? new_size - 1 : new_size);
  };
  const cuda::ResizeSizes sizes{static_cast<int>(r.in_height),
                                static_cast<int>(r.in_width),
                                static_cast<int>(r.out_height),
                                static_cast<int>(r.out_width),
                                static_cast<int>(r.channels),
                                ratio(r.in_height, r.out_height),
                                ratio(r.in_width, r.out_width),
                                r.half_pixel_centers};
  const size_t count = ProductOf({r.batch, r.out_height, r.out_width, r.channels});
  LaunchFor(count, "ResizeBilinear", count, sizes, x, out);
}

}  // namespace twotower
