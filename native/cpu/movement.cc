// Moves elements unchanged: transposition, and copies of boxes out of and into arrays.

#include <algorithm>
#include <cstring>

#include "../kernels.h"
#include "../strides.h"
#include "parallel.h"

namespace twotower {
namespace {

// Copies by tiles of two dimensions: the one that is contiguous in the input, and the output's last.
template <typename Element>
void TransposeBy(const Permuted& p, const Element* x, Element* out) {
  constexpr int64_t kTile = 16;
  const size_t last = p.sizes.size() - 1;
  const Integers out_strides = StridesOf(p.sizes);
  size_t side = 0;
  while (p.steps[side] != 1) side++;
  const int64_t width = p.sizes[last];
  const int64_t height = side == last ? 1 : p.sizes[side];
  const int64_t tiles = side == last ? 1 : (height + kTile - 1) / kTile;
  // Positions in all other dimensions.
  size_t others = 1;
  for (size_t d = 0; d < last; d++) others *= d == side ? 1 : p.sizes[d];
  Parallel(others * tiles, 4 * width * std::min(height, kTile), [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const int64_t row_begin = static_cast<int64_t>(item % tiles) * kTile;
      size_t rest = item / tiles;
      const Element* from = x;
      Element* to = out;
      for (size_t d = last; d-- > 0;) {
        if (d == side) continue;
        const size_t index = rest % p.sizes[d];
        rest /= p.sizes[d];
        from += index * p.steps[d];
        to += index * out_strides[d];
      }
      if (side == last) {
        std::memcpy(to, from, width * sizeof(Element));
        continue;
      }
      const int64_t row_end = std::min(height, row_begin + kTile);
      const int64_t step = p.steps[last];
      for (int64_t column = 0; column < width; column += kTile) {
        const int64_t column_end = std::min(width, column + kTile);
        for (int64_t row = row_begin; row < row_end; row++) {
          const Element* __restrict source = from + row;
          Element* __restrict target = to + row * out_strides[side];
          for (int64_t i = column; i < column_end; i++) target[i] = source[i * step];
        }
      }
    }
  });
}

}  // namespace

void Transpose(const Integers& shape, const Integers& permutation, const Values& x,
               const Values& out) {
  const Permuted permuted = PermutedFrom(shape, permutation);
  if (x.type == Type::kBool) {
    TransposeBy(permuted, x.As<uint8_t>(), out.As<uint8_t>());
  } else {
    TransposeBy(permuted, x.As<uint32_t>(), out.As<uint32_t>());
  }
}

void CopyBox(const Box& box, const Values& x, const Values& out) {
  const Integers& size = box.size;
  const BoxRuns box_runs(box);
  const Integers& x_strides = box_runs.x_strides;
  const Integers& out_strides = box_runs.out_strides;
  const size_t outer = box_runs.outer;
  const size_t run = box_runs.run;
  const size_t bytes = x.ElementBytes();
  const char* from = x.As<char>() + box_runs.x_first * bytes;
  char* to = out.As<char>() + box_runs.out_first * bytes;
  size_t runs = 1;
  for (size_t d = 0; d < outer; d++) runs *= size[d];
  // A few long runs are cut, so that the team can share them.
  const size_t pieces = std::max<size_t>(1, runs > 64 ? 1 : run / 65536);
  Parallel(runs * pieces, 2 * run / pieces, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const size_t piece = item % pieces;
      size_t index = item / pieces;
      size_t x_offset = run * piece / pieces;
      const size_t length = run * (piece + 1) / pieces - x_offset;
      size_t out_offset = x_offset;
      for (size_t d = outer; d-- > 0;) {
        const size_t here = index % size[d];
        index /= size[d];
        x_offset += here * x_strides[d];
        out_offset += here * out_strides[d];
      }
      std::memcpy(to + out_offset * bytes, from + x_offset * bytes, length * bytes);
    }
  });
}

}  // namespace twotower
