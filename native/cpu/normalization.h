// The gradient of local response normalization, for kernels that compute it with another one.

#ifndef TWOTOWER_NATIVE_NORMALIZATION_H_
#define TWOTOWER_NATIVE_NORMALIZATION_H_

#include <cstdint>
#include <vector>

#include "../kernels.h"

namespace twotower {

// Scratch of one thread for one row, the channels of a position.
struct NormalizationRow {
  explicit NormalizationRow(const Normalization& n)
      : padded(n.channels + 2 * n.radius), sums(n.channels), powers(n.channels) {}
  // `radius` zeros on either side of `channels` values.
  std::vector<float> padded;
  std::vector<float> sums, powers;
};

// Of `count` rows. `of_relu`: x is what a ReLU gave, and dx the gradient by what it was given.
void NormalizationGradientOfRows(const Normalization& n, int64_t count, const float* dy,
                                 const float* x, bool of_relu, NormalizationRow& row, float* dx);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_NORMALIZATION_H_
