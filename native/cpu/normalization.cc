// Local response normalization across channels (Krizhevsky et al. 2012, section 3.3) and its gradient.
//
// It computes one row, the channels of one position, at a time, in scratch memory with `radius` zeros on either side. The
// sums over windows are then `size` shifted additions of whole rows, which the compiler vectorizes. The window is short,
// so this is cheaper than a sliding sum, whose steps depend on each other.

#include <algorithm>
#include <cmath>

#include "normalization.h"
#include "parallel.h"

namespace twotower {
namespace {

// sums[c] = Σ padded[c … c + 2·radius], for `count` channels.
void SumWindows(const float* __restrict padded, int64_t count, int64_t radius,
                float* __restrict sums) {
  if (radius == 2) {
    for (int64_t c = 0; c < count; c++) {
      sums[c] = padded[c] + padded[c + 1] + padded[c + 2] + padded[c + 3] + padded[c + 4];
    }
    return;
  }
  std::copy_n(padded, count, sums);
  for (int64_t offset = 1; offset <= 2 * radius; offset++) {
    for (int64_t c = 0; c < count; c++) sums[c] += padded[c + offset];
  }
}

// powers[c] = scale[c]^−β. Roots are several times faster than powers, and β is 3/4 in practice.
void NegativePowers(const float* __restrict scale, int64_t count, float beta,
                    float* __restrict powers) {
  if (beta == 0.75f) {
    for (int64_t c = 0; c < count; c++) {
      const float root = std::sqrt(scale[c]);
      powers[c] = 1.f / (root * std::sqrt(root));
    }
  } else {
    for (int64_t c = 0; c < count; c++) powers[c] = std::pow(scale[c], -beta);
  }
}

// Fills row.sums with s and row.powers with s^−β.
void Scale(const Normalization& n, const float* __restrict x, NormalizationRow& row) {
  float* __restrict squares = row.padded.data() + n.radius;
  for (int64_t c = 0; c < n.channels; c++) squares[c] = x[c] * x[c];
  SumWindows(row.padded.data(), n.channels, n.radius, row.sums.data());
  float* __restrict sums = row.sums.data();
  for (int64_t c = 0; c < n.channels; c++) sums[c] = n.bias + n.alpha * sums[c];
  NegativePowers(sums, n.channels, n.beta, row.powers.data());
}

}  // namespace

void LocalResponseNormalization(const Normalization& n, const float* x, float* out) {
  Parallel(n.rows, 8 * n.channels, [&](size_t begin, size_t end) {
    NormalizationRow row(n);
    for (size_t index = begin; index < end; index++) {
      const float* __restrict in = x + index * n.channels;
      float* __restrict normalized = out + index * n.channels;
      Scale(n, in, row);
      const float* __restrict powers = row.powers.data();
      for (int64_t c = 0; c < n.channels; c++) normalized[c] = in[c] * powers[c];
    }
  });
}

// dx = dy·s^−β − 2αβ · x · Σ dy·x·s^−β / s, the sum over the same window, which is symmetric.
void NormalizationGradientOfRows(const Normalization& n, int64_t count, const float* dy,
                                 const float* x, bool of_relu, NormalizationRow& row, float* dx) {
  const float factor = 2 * n.alpha * n.beta;
  for (int64_t index = 0; index < count; index++) {
    const float* __restrict in = x + index * n.channels;
    const float* __restrict given = dy + index * n.channels;
    float* __restrict gradient = dx + index * n.channels;
    Scale(n, in, row);
    float* __restrict direct = row.powers.data();
    float* __restrict shares = row.padded.data() + n.radius;
    float* __restrict sums = row.sums.data();
    for (int64_t c = 0; c < n.channels; c++) {
      direct[c] *= given[c];
      shares[c] = direct[c] * in[c] / sums[c];
    }
    SumWindows(row.padded.data(), n.channels, n.radius, sums);
    for (int64_t c = 0; c < n.channels; c++) {
      const float value = direct[c] - factor * in[c] * sums[c];
      // A ReLU lets the gradient through unless it gave 0 or less: not where it gave NaN.
      gradient[c] = of_relu && in[c] <= 0 ? 0 : value;
    }
  }
}

void LocalResponseNormalizationGradient(const Normalization& n, const float* dy, const float* x,
                                        float* dx) {
  Parallel(n.rows, 16 * n.channels, [&](size_t begin, size_t end) {
    NormalizationRow row(n);
    const auto first = static_cast<int64_t>(begin) * n.channels;
    NormalizationGradientOfRows(n, static_cast<int64_t>(end - begin), dy + first, x + first, false,
                                row, dx + first);
  });
}

}  // namespace twotower
