// Images: conversion from bytes, and bilinear resizing.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels.h"
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
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(source)));
    const auto second = std::min<int64_t>(old_size - 1, static_cast<int64_t>(std::ceil(source)));
    // Before the first pixel tfjs uses the first for both, whatever the weight.
    positions[i] = {first, std::max<int64_t>(0, second), static_cast<float>(source - first)};
  }
  return positions;
}

}  // namespace

napi_value ImagesFromBytes(Arguments& arguments) {
  const Span<uint8_t> bytes = arguments.Bools(0, "bytes");
  const Span<float> table = arguments.Floats(1, "table");
  const Span<float> out = arguments.Floats(2, "out", bytes.length);
  constexpr size_t kByteValues = 256;
  const size_t channels = table.length / kByteValues;
  if (channels == 0 || table.length % kByteValues != 0 || bytes.length % channels != 0) {
    throw RangeError("no pixels of " + std::to_string(channels) + " channels");
  }
  Parallel(bytes.length / channels, 2 * channels, [&](size_t begin, size_t end) {
    for (size_t i = begin * channels; i < end * channels; i += channels) {
      for (size_t c = 0; c < channels; c++) {
        out.data[i + c] = table.data[bytes.data[i + c] * channels + c];
      }
    }
  });
  return nullptr;
}

napi_value ResizeBilinear(Arguments& arguments) {
  // [batch, inHeight, inWidth, outHeight, outWidth, channels]
  const Integers sizes = arguments.Sizes(2, "sizes", 6);
  const int64_t in_height = sizes[1], in_width = sizes[2];
  const int64_t out_height = sizes[3], out_width = sizes[4], channels = sizes[5];
  const Span<float> x =
      arguments.Floats(0, "x", ProductOf({sizes[0], in_height, in_width, channels}));
  const Span<float> out =
      arguments.Floats(1, "out", ProductOf({sizes[0], out_height, out_width, channels}));
  const bool align_corners = arguments.Boolean(3, "alignCorners");
  const bool half_pixel_centers = arguments.Boolean(4, "halfPixelCenters");
  if (out.length == 0) return nullptr;
  if (x.length == 0) throw RangeError("x is empty and out is not");
  const auto rows = PositionsOf(in_height, out_height, align_corners, half_pixel_centers);
  const auto columns = PositionsOf(in_width, out_width, align_corners, half_pixel_centers);
  Parallel(sizes[0] * out_height, 5 * out_width * channels, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const Between& row = rows[item % out_height];
      const float* image = x.data + item / out_height * in_height * in_width * channels;
      const float* top = image + row.first * in_width * channels;
      const float* bottom = image + row.second * in_width * channels;
      float* to = out.data + item * out_width * channels;
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
  return nullptr;
}

}  // namespace twotower
