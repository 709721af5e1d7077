#include "space_to_depth.h"

#include <algorithm>

#include "parallel.h"

namespace twotower {
namespace {

// Calls `call` with the index of each of the filter's positions, and the index that it has over blocks.
template <typename Call>
void ForEachElement(const Geometry& g, const Call& call) {
  const Geometry b = GeometryOfBlocks(g);
  const int64_t stride = g.stride_height;
  for (int64_t y = 0; y < g.filter_height; y++) {
    for (int64_t x = 0; x < g.filter_width; x++) {
      const int64_t block = y / stride * b.filter_width + x / stride;
      const int64_t inside = y % stride * stride + x % stride;
      call(y * g.filter_width + x, block * stride * stride + inside);
    }
  }
}

}  // namespace

bool HasFewChannelsForItsStride(const Geometry& g) {
  constexpr int64_t kMostChannels = 64;
  const int64_t stride = g.stride_height;
  return stride > 1 && g.stride_width == stride && g.dilation_height == 1 &&
         g.dilation_width == 1 && g.in_channels * stride * stride <= kMostChannels;
}

Geometry GeometryOfBlocks(const Geometry& g) {
  const int64_t stride = g.stride_height;
  Geometry blocks = g;
  blocks.filter_height = (g.filter_height + stride - 1) / stride;
  blocks.filter_width = (g.filter_width + stride - 1) / stride;
  blocks.in_height = g.out_height + blocks.filter_height - 1;
  blocks.in_width = g.out_width + blocks.filter_width - 1;
  blocks.in_channels = g.in_channels * stride * stride;
  blocks.stride_height = blocks.stride_width = 1;
  blocks.pad_top = blocks.pad_left = 0;
  return blocks;
}

void ToBlocks(const Geometry& g, const float* x, float* blocks) {
  const Geometry b = GeometryOfBlocks(g);
  const int64_t stride = g.stride_height;
  const int64_t row_length = g.in_width * g.in_channels;
  const int64_t run = stride * g.in_channels;
  Parallel(b.batch * b.in_height, b.in_width * b.in_channels, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const int64_t image = static_cast<int64_t>(item) / b.in_height;
      const int64_t first_row = static_cast<int64_t>(item) % b.in_height * stride - g.pad_top;
      float* to = blocks + item * b.in_width * b.in_channels;
      for (int64_t offset = 0; offset < stride; offset++) {
        const int64_t row = first_row + offset;
        const bool inside = row >= 0 && row < g.in_height;
        const float* from = x + (image * g.in_height + (inside ? row : 0)) * row_length;
        for (int64_t column = 0; column < b.in_width; column++) {
          float* part = to + column * b.in_channels + offset * run;
          const int64_t start = column * run - g.pad_left * g.in_channels;
          if (inside && start >= 0 && start + run <= row_length) {
            std::copy_n(from + start, run, part);
            continue;
          }
          for (int64_t i = 0; i < run; i++) {
            const int64_t position = start + i;
            part[i] = inside && position >= 0 && position < row_length ? from[position] : 0.f;
          }
        }
      }
    }
  });
}

void FilterToBlocks(const Geometry& g, const float* filter, float* blocks) {
  const Geometry b = GeometryOfBlocks(g);
  const int64_t row = g.in_channels * g.out_channels;
  // Elements past the filter's last row and column.
  std::fill_n(blocks, ProductOf(b.FilterShape()), 0.f);
  ForEachElement(g, [&](int64_t element, int64_t in_blocks) {
    std::copy_n(filter + element * row, row, blocks + in_blocks * row);
  });
}

void FilterFromBlocks(const Geometry& g, const float* blocks, float* filter) {
  const int64_t row = g.in_channels * g.out_channels;
  ForEachElement(g, [&](int64_t element, int64_t in_blocks) {
    std::copy_n(blocks + in_blocks * row, row, filter + element * row);
  });
}

}  // namespace twotower
