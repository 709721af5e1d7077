// The gradient of local response normalization, for kernels that compute it with another one.

#ifndef TWOTOWER_NATIVE_NORMALIZATION_H_
#define TWOTOWER_NATIVE_NORMALIZATION_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../kernels.h"

namespace twotower {

// Scratch of one thread for a block of rows, each the channels of one position.
struct NormalizationBlock {
  explicit NormalizationBlock(const Normalization& n)
      : rows(std::max<int64_t>(1, kNumbers / n.channels)),
        stride(n.channels + n.radius),
        padded(rows * stride + 2 * n.radius),
        sums(rows * stride),
        powers(rows * stride) {}
  // Channels of all rows together: 256 was the fastest of 256, 512 and 1024.
  static constexpr int64_t kNumbers = 256;
  int64_t rows;
  // From a row's first channel to the next row's.
  int64_t stride;
  // `radius` zeros, then each row's channels with `radius` zeros after them.
  std::vector<float> padded;
  std::vector<float> sums, powers;
};

// Of `count` rows. `of_relu`: x is what a ReLU gave, and dx the gradient by what it was given.
void NormalizationGradientOfRows(const Normalization& n, int64_t count, const float* dy,
                                 const float* x, bool of_relu, NormalizationBlock& block,
                                 float* dx);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_NORMALIZATION_H_
