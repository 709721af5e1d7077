// The windows of pooling.

#ifndef TWOTOWER_NATIVE_POOL_WINDOWS_H_
#define TWOTOWER_NATIVE_POOL_WINDOWS_H_

#include <algorithm>

#include "../geometry.h"

namespace twotower {

// The part of a window inside the input: its first row (or column) and the one after its last; the step between rows is
// the dilation.
struct Window {
  int64_t begin, end;
};

inline Window WindowAt(int64_t out, int64_t in_size, int64_t filter, int64_t stride,
                       int64_t dilation, int64_t pad) {
  int64_t begin = out * stride - pad;
  const int64_t end = std::min(in_size, begin + (filter - 1) * dilation + 1);
  if (begin < 0) begin += (-begin + dilation - 1) / dilation * dilation;
  return {begin, end};
}

inline Window RowsAt(const Geometry& g, int64_t y) {
  return WindowAt(y, g.in_height, g.filter_height, g.stride_height, g.dilation_height, g.pad_top);
}

inline Window ColumnsAt(const Geometry& g, int64_t x) {
  return WindowAt(x, g.in_width, g.filter_width, g.stride_width, g.dilation_width, g.pad_left);
}

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_POOL_WINDOWS_H_
