// Strides of row-major arrays, dimensions as a transposition visits them, and boxes as runs of elements.

#ifndef TWOTOWER_NATIVE_STRIDES_H_
#define TWOTOWER_NATIVE_STRIDES_H_

#include "kernels.h"

namespace twotower {

// Elements from one index of a dimension to the next.
inline Integers StridesOf(const Integers& shape) {
  Integers strides(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

// The output's dimensions in order, each with its stride in the input.
struct Permuted {
  Integers sizes, steps;
};

// Drops dimensions of 1 and merges those that are contiguous in both arrays.
inline Permuted PermutedFrom(const Integers& shape, const Integers& permutation) {
  const Integers strides = StridesOf(shape);
  Permuted p;
  for (int64_t d : permutation) {
    if (shape[d] == 1) continue;
    if (!p.sizes.empty() && p.steps.back() == shape[d] * strides[d]) {
      p.sizes.back() *= shape[d];
      p.steps.back() = strides[d];
    } else {
      p.sizes.push_back(shape[d]);
      p.steps.push_back(strides[d]);
    }
  }
  if (p.sizes.empty()) {
    p.sizes.push_back(1);
    p.steps.push_back(1);
  }
  return p;
}

// A copy of a box as contiguous runs. One lies at each index of the box's first `outer` dimensions.
struct BoxRuns {
  Integers x_strides, out_strides;
  // Elements before the box in each array.
  size_t x_first = 0;
  size_t out_first = 0;
  size_t outer;
  // Elements of a run: the trailing dimensions that the box covers, and the first that it does not.
  size_t run = 1;

  explicit BoxRuns(const Box& box)
      : x_strides(StridesOf(box.x_shape)),
        out_strides(StridesOf(box.out_shape)),
        outer(box.size.size()) {
    for (size_t d = 0; d < box.size.size(); d++) {
      x_first += box.x_start[d] * x_strides[d];
      out_first += box.out_start[d] * out_strides[d];
    }
    while (outer > 0) {
      outer--;
      run *= box.size[outer];
      if (box.size[outer] != box.x_shape[outer] || box.size[outer] != box.out_shape[outer]) break;
    }
  }
};

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_STRIDES_H_
