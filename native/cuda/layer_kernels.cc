#include "layer_kernels.h"

#include "../kernels.h"
#include "launch.h"

namespace twotower::cuda {
namespace {

// out[column][row] = x[row][column] by one of the kernels that round or widen.
void TransposeBf16(const char* kernel, size_t rows, size_t columns, const void* x, void* out) {
  const auto tiles_of = [](size_t size) { return (size + kTileSide - 1) / kTileSide; };
  const size_t tiles = tiles_of(rows) * tiles_of(columns);
  LaunchBlocks(tiles, kernel, tiles, rows, columns, x, out);
}

void TransposeFloats(int64_t rows, int64_t columns, const float* x, float* out) {
  const auto length = static_cast<size_t>(rows * columns);
  twotower::Transpose({rows, columns}, {1, 0},
                      {const_cast<float*>(x), length, Type::kFloat32},
                      {out, length, Type::kFloat32});
}

bool IsAligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

}  // namespace

void AddBias(size_t rows, size_t channels, const float* bias, float* out, bool relu) {
  const size_t count = rows * channels;
  if (channels % 4 == 0 && IsAligned(bias) && IsAligned(out)) {
    LaunchFor(count / 4, "AddBias4", count / 4, channels / 4, bias, out, relu);
  } else {
    LaunchFor(count, "AddBias", count, channels, bias, out, relu);
  }
}

void BiasGradient(size_t rows, size_t channels, const float* dy, float* d_bias) {
  twotower::Reduce(Reduction::kSum, {1, rows, channels},
                   {const_cast<float*>(dy), rows * channels, Type::kFloat32},
                   {d_bias, channels, Type::kFloat32});
}

void FilterToKrsc(int64_t height, int64_t width, int64_t in_channels, int64_t out_channels,
                  const float* filter, void* krsc, bool is_bf16) {
  const int64_t rows = height * width * in_channels;
  if (is_bf16) return TransposeBf16("TransposeToBf16", rows, out_channels, filter, krsc);
  TransposeFloats(rows, out_channels, filter, static_cast<float*>(krsc));
}

void FilterFromKrsc(int64_t height, int64_t width, int64_t in_channels, int64_t out_channels,
                    const void* krsc, bool is_bf16, float* filter) {
  const int64_t columns = height * width * in_channels;
  if (is_bf16) return TransposeBf16("TransposeFromBf16", out_channels, columns, krsc, filter);
  TransposeFloats(out_channels, columns, static_cast<const float*>(krsc), filter);
}

void ToBf16(size_t length, const float* x, void* out) {
  LaunchFor(length, "ToBf16", length, x, out);
}

void FromBf16(size_t length, const void* x, float* out) {
  LaunchFor(length, "FromBf16", length, x, out);
}

}  // namespace twotower::cuda
