// Products of spectra: for each bin a product of complex matrices, in tiles of kRows rows by a few groups of channels whose sums
// stay in registers.

#include <algorithm>

#include "fft_spectrum.h"
#include "parallel.h"

namespace twotower::fft {
namespace {

// Groups of channels that a tile is wide: its sums fill half of the processor's registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kWidth = 2;
#else
constexpr int kWidth = 1;
#endif

TWOTOWER_INLINE inline void PrefetchChunk(const float* chunk) {
#pragma GCC unroll 8
  for (size_t byte = 0; byte < kChunkFloats * sizeof(float); byte += 64) {
    Prefetch(chunk + byte / sizeof(float));
  }
}

// The sums of a tile.
template <int width>
struct Sums {
  Vector re[kRows][width] = {};
  Vector im[kRows][width] = {};

  TWOTOWER_INLINE void Add(const Sums& other) {
#pragma GCC unroll 8
    for (int m = 0; m < kRows; m++) {
#pragma GCC unroll 8
      for (int g = 0; g < width; g++) {
        re[m][g] += other.re[m][g];
        im[m][g] += other.im[m][g];
      }
    }
  }

  TWOTOWER_INLINE void StoreTo(float* to, int64_t group_stride) const {
#pragma GCC unroll 8
    for (int g = 0; g < width; g++) {
#pragma GCC unroll 8
      for (int m = 0; m < kRows; m++) {
        Stream(to + g * group_stride + m * kRowFloats, re[m][g]);
        Stream(to + g * group_stride + m * kRowFloats + kLanes, im[m][g]);
      }
    }
  }
};

// sums[m][g] += a[m] · b[g], or a[m] · conj b[g]. `a` are the real parts of kRows numbers `a_step` apart, each with its
// imaginary part kLanes after it; `b` is a row of each group's chunk.
template <int width, bool conjugate>
TWOTOWER_INLINE inline void AddProducts(const float* a, int a_step, const float* b,
                                        int64_t b_group_stride, Sums<width>& sums) {
  Vector b_re[width], b_im[width];
#pragma GCC unroll 8
  for (int g = 0; g < width; g++) {
    b_re[g] = Load(b + g * b_group_stride);
    b_im[g] = Load(b + g * b_group_stride + kLanes);
  }
#pragma GCC unroll 8
  for (int m = 0; m < kRows; m++) {
    const float a_re = a[m * a_step];
    const float a_im = a[m * a_step + kLanes];
#pragma GCC unroll 8
    for (int g = 0; g < width; g++) {
      sums.re[m][g] += a_re * b_re[g];
      sums.im[m][g] += a_im * b_re[g];
    }
#pragma GCC unroll 8
    for (int g = 0; g < width; g++) {
      if constexpr (conjugate) {
        sums.re[m][g] += a_im * b_im[g];
        sums.im[m][g] -= a_re * b_im[g];
      } else {
        sums.re[m][g] -= a_im * b_im[g];
        sums.im[m][g] += a_re * b_im[g];
      }
    }
  }
}

// y[rows 4·block …, groups `group` …] of one bin, for every block. The next bin's filters and, once, its x are prefetched
// meanwhile.
template <int width>
void MultiplyPanel(const Spectrum& x, const Spectrum& filters, int64_t inner, const Spectrum& y,
                   int bin, int64_t group) {
  const int64_t blocks = x.rows / kRows;
  const int64_t inner_blocks = (inner + kRows - 1) / kRows;
  constexpr int64_t kBlocksOfGroup = kLanes / kRows;
  const int64_t b_group_stride = filters.GroupStride();
  const int64_t b_block_stride = filters.BlockStride();
  int64_t prefetched = 0;
  for (int64_t block = 0; block < blocks; block++) {
    for (; prefetched < inner_blocks && prefetched * blocks < (block + 1) * inner_blocks;
         prefetched++) {
      for (int g = 0; g < width; g++) {
        PrefetchChunk(filters.At(bin + 1, group + g, kRows * prefetched));
      }
    }
    Sums<width> sums;
    const float* b = filters.At(bin, group, 0);
    for (int64_t k = 0; k < inner_blocks; k++, b += b_block_stride) {
      const float* a = x.At(bin, k / kBlocksOfGroup, kRows * block) + k % kBlocksOfGroup * kRows;
      if (group == 0 && k % kBlocksOfGroup == 0) PrefetchChunk(a + kChunkFloats);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; i++) {
        AddProducts<width, false>(a + i, kRowFloats, b + i * kRowFloats, b_group_stride, sums);
      }
    }
    sums.StoreTo(y.At(bin, group, kRows * block), y.GroupStride());
  }
}

// gradient[all channels of x, groups `group` …] of one bin.
template <int width>
void GradientPanel(const Spectrum& x, const Spectrum& dy, const Spectrum& gradient, int bin,
                   int64_t group) {
  constexpr int64_t kTilesOfGroup = kLanes / kRows;
  // Thousands of tiles added to one sum would lose a digit; so each run of them has a sum of its own.
  constexpr int64_t kBlocksOfSum = 32;
  const int64_t tiles = gradient.rows / kRows;
  const int64_t blocks = x.rows / kRows;
  const int64_t d_group_stride = dy.GroupStride();
  const int64_t x_block_stride = x.BlockStride();
  const int64_t d_block_stride = dy.BlockStride();
  int64_t prefetched = 0;
  for (int64_t tile = 0; tile < tiles; tile++) {
    for (; prefetched < blocks && prefetched * tiles < (tile + 1) * blocks; prefetched++) {
      for (int g = 0; g < width; g++) {
        PrefetchChunk(dy.At(bin + 1, group + g, kRows * prefetched));
      }
    }
    Sums<width> total;
    const float* chunk = x.At(bin, tile / kTilesOfGroup, 0);
    const float* d = dy.At(bin, group, 0);
    const int64_t channel = tile % kTilesOfGroup * kRows;
    for (int64_t first = 0; first < blocks; first += kBlocksOfSum) {
      Sums<width> sums;
      for (int64_t block = first; block < std::min(blocks, first + kBlocksOfSum);
           block++, chunk += x_block_stride, d += d_block_stride) {
        if (group == 0 && channel == 0) PrefetchChunk(chunk + kChunkFloats);
#pragma GCC unroll 4
        for (int row = 0; row < kRows; row++) {
          AddProducts<width, true>(chunk + channel + row * kRowFloats, 1, d + row * kRowFloats,
                                   d_group_stride, sums);
        }
      }
      total.Add(sums);
    }
    total.StoreTo(gradient.At(bin, group, kRows * tile), gradient.GroupStride());
  }
}

// Calls `panel(width, bin, group)` for every bin, and groups of channels taken `width` at once.
template <typename Panel>
void ForEachPanel(const Spectrum& result, int64_t inner, const Panel& panel) {
  const size_t cost = result.rows * result.groups * kLanes * inner / 4;
  Parallel(result.bins, cost, [&](size_t begin, size_t end) {
    for (int bin = static_cast<int>(begin); bin < static_cast<int>(end); bin++) {
      int64_t group = 0;
      for (; group + kWidth <= result.groups; group += kWidth) {
        panel(std::integral_constant<int, kWidth>(), bin, group);
      }
      for (; group < result.groups; group++) {
        panel(std::integral_constant<int, 1>(), bin, group);
      }
    }
    FinishStreaming();
  });
}

}  // namespace

void Multiply(const Spectrum& x, const Spectrum& filters, int64_t inner, const Spectrum& y) {
  ForEachPanel(y, inner, [&](auto width, int bin, int64_t group) {
    MultiplyPanel<width>(x, filters, inner, y, bin, group);
  });
}

void MultiplyForFilters(const Spectrum& x, const Spectrum& dy, const Spectrum& gradient) {
  ForEachPanel(gradient, x.rows, [&](auto width, int bin, int64_t group) {
    GradientPanel<width>(x, dy, gradient, bin, group);
  });
}

}  // namespace twotower::fft
