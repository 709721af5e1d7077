// Local response normalization across channels (Krizhevsky et al. 2012, section 3.3) and its gradient.
//
// It computes a block of rows at a time, each the channels of one position, in scratch memory with zeros between the rows. The
// sums over windows are then `size` shifted additions of the whole block, which the compiler vectorizes whatever the number
// of channels. The window is short, so this is cheaper than a sliding sum, whose steps depend on each other.

#include <algorithm>
#include <cmath>

#include "normalization.h"
#include "parallel.h"

namespace twotower {
namespace {

// sums[i] = Σ padded[i … i + 2·radius], for `count` numbers.
void SumWindows(const float* __restrict padded, int64_t count, int64_t radius,
                float* __restrict sums) {
  if (radius == 2) {
    for (int64_t i = 0; i < count; i++) {
      sums[i] = padded[i] + padded[i + 1] + padded[i + 2] + padded[i + 3] + padded[i + 4];
    }
    return;
  }
  std::copy_n(padded, count, sums);
  for (int64_t offset = 1; offset <= 2 * radius; offset++) {
    for (int64_t i = 0; i < count; i++) sums[i] += padded[i + offset];
  }
}

// powers[i] = scale[i]^−β. Roots are several times faster than powers, and β is 3/4 in practice.
void NegativePowers(const float* __restrict scale, int64_t count, float beta,
                    float* __restrict powers) {
  if (beta == 0.75f) {
    for (int64_t i = 0; i < count; i++) {
      const float root = std::sqrt(scale[i]);
      powers[i] = 1.f / (root * std::sqrt(root));
    }
  } else {
    for (int64_t i = 0; i < count; i++) powers[i] = std::pow(scale[i], -beta);
  }
}

// Fills block.sums with s and block.powers with s^−β, for `rows` rows. What they hold between the rows has no meaning.
void Scale(const Normalization& n, int64_t rows, const float* x, NormalizationBlock& block) {
  for (int64_t row = 0; row < rows; row++) {
    const float* __restrict in = x + row * n.channels;
    float* __restrict squares = block.padded.data() + n.radius + row * block.stride;
    for (int64_t c = 0; c < n.channels; c++) squares[c] = in[c] * in[c];
  }
  const int64_t count = rows * block.stride;
  float* __restrict sums = block.sums.data();
  SumWindows(block.padded.data(), count, n.radius, sums);
  for (int64_t i = 0; i < count; i++) sums[i] = n.bias + n.alpha * sums[i];
  NegativePowers(sums, count, n.beta, block.powers.data());
}

// dx = dy·s^−β − 2αβ · x · Σ dy·x·s^−β / s, the sum over the same window, which is symmetric. For at most a block of rows.
void GradientOfBlock(const Normalization& n, int64_t rows, const float* dy, const float* x,
                     bool of_relu, NormalizationBlock& block, float* dx) {
  Scale(n, rows, x, block);
  for (int64_t row = 0; row < rows; row++) {
    const float* __restrict in = x + row * n.channels;
    const float* __restrict given = dy + row * n.channels;
    const float* __restrict sums = block.sums.data() + row * block.stride;
    float* __restrict direct = block.powers.data() + row * block.stride;
    float* __restrict shares = block.padded.data() + n.radius + row * block.stride;
    for (int64_t c = 0; c < n.channels; c++) {
      direct[c] *= given[c];
      shares[c] = direct[c] * in[c] / sums[c];
    }
  }
  SumWindows(block.padded.data(), rows * block.stride, n.radius, block.sums.data());
  const float factor = 2 * n.alpha * n.beta;
  for (int64_t row = 0; row < rows; row++) {
    const float* __restrict in = x + row * n.channels;
    const float* __restrict sums = block.sums.data() + row * block.stride;
    const float* __restrict direct = block.powers.data() + row * block.stride;
    float* __restrict gradient = dx + row * n.channels;
    for (int64_t c = 0; c < n.channels; c++) {
      const float value = direct[c] - factor * in[c] * sums[c];
      // A ReLU lets the gradient through unless it gave 0 or less: not where it gave NaN.
      gradient[c] = of_relu && in[c] <= 0 ? 0 : value;
    }
  }
}

// Calls `body(first, rows)` for each block of rows `begin` … `end` − 1.
template <typename Body>
void ForEachBlock(const NormalizationBlock& block, int64_t begin, int64_t end, const Body& body) {
  for (int64_t first = begin; first < end; first += block.rows) {
    body(first, std::min(block.rows, end - first));
  }
}

}  // namespace

void LocalResponseNormalization(const Normalization& n, const float* x, float* out) {
  Parallel(n.rows, 8 * n.channels, [&](size_t begin, size_t end) {
    NormalizationBlock block(n);
    ForEachBlock(block, begin, end, [&](int64_t first, int64_t rows) {
      Scale(n, rows, x + first * n.channels, block);
      for (int64_t row = 0; row < rows; row++) {
        const float* __restrict in = x + (first + row) * n.channels;
        const float* __restrict powers = block.powers.data() + row * block.stride;
        float* __restrict normalized = out + (first + row) * n.channels;
        for (int64_t c = 0; c < n.channels; c++) normalized[c] = in[c] * powers[c];
      }
    });
  });
}

void NormalizationGradientOfRows(const Normalization& n, int64_t count, const float* dy,
                                 const float* x, bool of_relu, NormalizationBlock& block,
                                 float* dx) {
  ForEachBlock(block, 0, count, [&](int64_t first, int64_t rows) {
    const int64_t offset = first * n.channels;
    GradientOfBlock(n, rows, dy + offset, x + offset, of_relu, block, dx + offset);
  });
}

void LocalResponseNormalizationGradient(const Normalization& n, const float* dy, const float* x,
                                        float* dx) {
  Parallel(n.rows, 16 * n.channels, [&](size_t begin, size_t end) {
    NormalizationBlock block(n);
    const auto first = static_cast<int64_t>(begin) * n.channels;
    NormalizationGradientOfRows(n, static_cast<int64_t>(end - begin), dy + first, x + first, false,
                                block, dx + first);
  });
}

}  // namespace twotower
