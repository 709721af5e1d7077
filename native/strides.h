// Strides of row-major arrays, and dimensions as a transposition visits them.

#ifndef TWOTOWER_NATIVE_STRIDES_H_
#define TWOTOWER_NATIVE_STRIDES_H_

#include "values.h"

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

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_STRIDES_H_
