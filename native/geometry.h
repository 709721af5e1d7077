// Sizes of a window that slides over height and width, of a convolution or of pooling.

#ifndef TWOTOWER_NATIVE_GEOMETRY_H_
#define TWOTOWER_NATIVE_GEOMETRY_H_

#include "values.h"

namespace twotower {

// Fields in the order of `convolutionGeometry` in src/backend/native/geometry.ts.
struct Geometry {
  int64_t batch, in_height, in_width, in_channels;
  int64_t out_height, out_width, out_channels;
  int64_t filter_height, filter_width;
  int64_t stride_height, stride_width;
  int64_t dilation_height, dilation_width;
  int64_t pad_top, pad_left;

  // From as many integers as there are fields; throws RangeError if the sizes do not agree.
  static Geometry From(const Integers& list);
  static constexpr size_t kFields = 15;

  Integers InShape() const { return {batch, in_height, in_width, in_channels}; }
  Integers OutShape() const { return {batch, out_height, out_width, out_channels}; }
  Integers FilterShape() const {
    return {filter_height, filter_width, in_channels, out_channels};
  }
  // Rows and columns of zeros below and to the right, as the other sizes imply.
  int64_t PadBottom() const;
  int64_t PadRight() const;

  Integers Key() const;
};

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_GEOMETRY_H_
