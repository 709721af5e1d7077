#include "geometry.h"

#include <algorithm>
#include <string>

namespace twotower {
namespace {

// Filters, strides, dilations and padding beyond this are mistakes; oneDNN crashes at some hundreds of millions.
constexpr int64_t kLargest = 4096;

// Zeros needed after the last row; negative if the stride leaves rows unread.
int64_t Missing(int64_t in, int64_t out, int64_t filter, int64_t stride, int64_t dilation,
                int64_t pad) {
  return (out - 1) * stride + (filter - 1) * dilation + 1 - in - pad;
}

void CheckDimension(const char* name, int64_t in, int64_t out, int64_t filter, int64_t stride,
                    int64_t dilation, int64_t pad) {
  if (filter < 1 || stride < 1 || dilation < 1 || pad < 0) {
    throw RangeError(std::string("geometry: ") + name +
                     " needs a filter, stride and dilation of at least 1, and padding of at least 0");
  }
  if (std::max({filter, stride, dilation, pad}) > kLargest) {
    throw RangeError(std::string("geometry: ") + name +
                     " has a filter, stride, dilation or padding above " +
                     std::to_string(kLargest));
  }
  if (in > 0 && out > 0 && Missing(in, out, filter, stride, dilation, pad) >= filter * dilation + kLargest) {
    throw RangeError(std::string("geometry: ") + name + " " + std::to_string(out) +
                     " of the output is more than the input's " + std::to_string(in) + " gives");
  }
  if (in > 0 && out > 0 && Missing(in, out, filter, stride, dilation, pad) <= -stride) {
    throw RangeError(std::string("geometry: ") + name + " " + std::to_string(out) +
                     " of the output is less than the input's " + std::to_string(in) + " gives");
  }
}

}  // namespace

Geometry Geometry::From(const Integers& list) {
  Geometry g{list[0], list[1], list[2],  list[3],  list[4],  list[5],  list[6], list[7],
             list[8], list[9], list[10], list[11], list[12], list[13], list[14]};
  CheckDimension("height", g.in_height, g.out_height, g.filter_height, g.stride_height,
                 g.dilation_height, g.pad_top);
  CheckDimension("width", g.in_width, g.out_width, g.filter_width, g.stride_width,
                 g.dilation_width, g.pad_left);
  return g;
}

int64_t Geometry::PadBottom() const {
  return std::max<int64_t>(0, Missing(in_height, out_height, filter_height, stride_height,
                                      dilation_height, pad_top));
}

int64_t Geometry::PadRight() const {
  return std::max<int64_t>(0, Missing(in_width, out_width, filter_width, stride_width,
                                      dilation_width, pad_left));
}

Integers Geometry::Key() const {
  return {batch,        in_height,     in_width,     in_channels,     out_height,
          out_width,    out_channels,  filter_height, filter_width,   stride_height,
          stride_width, dilation_height, dilation_width, pad_top,     pad_left};
}

}  // namespace twotower
