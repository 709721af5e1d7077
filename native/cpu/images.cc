// Images: conversion from bytes, and bilinear resizing.

#include <algorithm>
#include <cmath>
#include <vector>

#include "../kernels.h"
#include "parallel.h"

namespace twotower {
namespace {

// The two pixels of a row or column that a new one is between, and the weight of the second.
struct Between {
  int64_t first, second;
  float share;
};

std::vector<Between> PositionsOf(int64_t old_size, int64_t new_size, bool align_corners,
                                 bool half_pixel_centers) {
  const bool aligned = align_corners && new_size > 1;
  const double ratio = static_cast<double>(aligned ? old_size - 1 : old_size) /
                       static_cast<double>(aligned ? new_size - 1 : new_size);
  std::vector<Between> positions(new_size);
  for (int64_t i = 0; i < new_size; i++) {
    const double source = half_pixel_centers ? ratio * (i + 0.5) - 0.5 : ratio * i;
    // With both options the first can lie beyond the last pixel.
    const auto first =
        std::clamp<int64_t>(static_cast<int64_t>(std::floor(source)), 0, old_size - 1);
    const auto second = std::min<int64_t>(old_size - 1, static_cast<int64_t>(std::ceil(source)));
    // Before the first pixel tfjs uses the first for both, whatever the weight.
    positions[i] = {first, std::max<int64_t>(0, second), static_cast<float>(source - first)};
  }
  return positions;
}

}  // namespace

void ImagesFromBytes(size_t pixels, size_t channels, const uint8_t* bytes, const float* table,
                     float* out) {
  Parallel(pixels, 2 * channels, [&](size_t begin, size_t end) {
    for (size_t i = begin * channels; i < end * channels; i += channels) {
      for (size_t c = 0; c < channels; c++) {
        out[i + c] = table[bytes[i + c] * channels + c];
      }
    }
  });
}

void ResizeBilinear(const Resizing& r, const float* x, float* out) {
  const auto rows = PositionsOf(r.in_height, r.out_height, r.align_corners, r.half_pixel_centers);
  const auto columns = PositionsOf(r.in_width, r.out_width, r.align_corners, r.half_pixel_centers);
  const int64_t channels = r.channels;
  Parallel(r.batch * r.out_height, 5 * r.out_width * channels, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const Between& row = rows[item % r.out_height];
      const float* image = x + item / r.out_height * r.in_height * r.in_width * channels;
      const float* top = image + row.first * r.in_width * channels;
      const float* bottom = image + row.second * r.in_width * channels;
      float* to = out + item * r.out_width * channels;
      for (const Between& column : columns) {
        const int64_t left = column.first * channels;
        const int64_t right = column.second * channels;
        for (int64_t c = 0; c < channels; c++) {
          const float above = top[left + c] + (top[right + c] - top[left + c]) * column.share;
          const float below =
              bottom[left + c] + (bottom[right + c] - bottom[left + c]) * column.share;
          *to++ = above + (below - above) * row.share;
        }
      }
    }
  });
}

}  // namespace twotower
