// Products of spectra: for each bin a product of complex matrices, in tiles of kRows rows by a few groups of channels whose sums
// stay in registers.

#include <algorithm>
#include <atomic>

#include "fft_spectrum.h"
#include "parallel.h"
#include "scratch.h"

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

// The sums of a tile. Gauss's method takes three multiplications for a complex product instead of four:
//
//     (a + ib)(c + id) = (p − r) + i(p + q),   p = c(a + b), q = a(d − c), r = b(c + d)
//     (a + ib)(c − id) = (p − r) + i(p − q),   p = c(a + b), q = a(c + d), r = b(c − d)
template <int width>
struct Sums {
  Vector p[kRows][width] = {};
  Vector q[kRows][width] = {};
  Vector r[kRows][width] = {};

  TWOTOWER_INLINE void Add(const Sums& other) {
#pragma GCC unroll 8
    for (int m = 0; m < kRows; m++) {
#pragma GCC unroll 8
      for (int g = 0; g < width; g++) {
        p[m][g] += other.p[m][g];
        q[m][g] += other.q[m][g];
        r[m][g] += other.r[m][g];
      }
    }
  }

  template <bool conjugate>
  TWOTOWER_INLINE void StoreTo(float* to, int64_t group_stride) const {
#pragma GCC unroll 8
    for (int g = 0; g < width; g++) {
#pragma GCC unroll 8
      for (int m = 0; m < kRows; m++) {
        Stream(to + g * group_stride + m * kRowFloats, p[m][g] - r[m][g]);
        Stream(to + g * group_stride + m * kRowFloats + kLanes,
               conjugate ? p[m][g] - q[m][g] : p[m][g] + q[m][g]);
      }
    }
  }
};

// sums[m][g] += a[m] · b[g], for kRows real numbers `step` apart. One number at a time, so that the sums stay in registers.
template <int width>
TWOTOWER_INLINE inline void AddScaled(const float* a, int step, const Vector* b,
                                      Vector (*sums)[width]) {
#pragma GCC unroll 8
  for (int m = 0; m < kRows; m++) {
    const float scale = a[m * step];
#pragma GCC unroll 8
    for (int g = 0; g < width; g++) sums[m][g] += scale * b[g];
  }
}

// sums[m][g] += a[m] · b[g], or a[m] · conj b[g]. `a` are the real parts of kRows numbers `a_step` apart, each with its
// imaginary part kLanes after it; `a_sums` are the sums of both parts, `sum_step` apart; `b` is a row of each group's chunk.
template <int width, bool conjugate>
TWOTOWER_INLINE inline void AddProducts(const float* a, int a_step, const float* a_sums,
                                        int sum_step, const float* b, int64_t b_group_stride,
                                        Sums<width>& sums) {
  Vector re[width], im[width], combined[width];
#pragma GCC unroll 8
  for (int g = 0; g < width; g++) {
    re[g] = Load(b + g * b_group_stride);
    im[g] = Load(b + g * b_group_stride + kLanes);
  }
  AddScaled<width>(a_sums, sum_step, re, sums.p);
#pragma GCC unroll 8
  for (int g = 0; g < width; g++) combined[g] = conjugate ? im[g] + re[g] : im[g] - re[g];
  AddScaled<width>(a, a_step, combined, sums.q);
#pragma GCC unroll 8
  for (int g = 0; g < width; g++) combined[g] = conjugate ? re[g] - im[g] : re[g] + im[g];
  AddScaled<width>(a + kLanes, a_step, combined, sums.r);
}

// y[rows 4·block …, groups `group` …] of one bin, for every block. The next bin's filters are prefetched meanwhile.
template <int width>
void MultiplyPanel(const Spectrum& x, const float* x_sums, const Spectrum& filters, int64_t inner,
                   const Spectrum& y, int bin, int64_t group) {
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
      const int64_t channel = k % kBlocksOfGroup * kRows;
      const float* chunk = x.At(bin, k / kBlocksOfGroup, kRows * block);
      const float* a_sums = x_sums + (block * x.groups + k / kBlocksOfGroup) * kRows * kLanes;
#pragma GCC unroll 4
      for (int i = 0; i < kRows; i++) {
        AddProducts<width, false>(chunk + channel + i, kRowFloats, a_sums + channel + i, kLanes,
                                  b + i * kRowFloats, b_group_stride, sums);
      }
    }
    sums.template StoreTo<false>(y.At(bin, group, kRows * block), y.GroupStride());
  }
}

// gradient[all channels of x, groups `group` …] of one bin. The next bin's dy is prefetched meanwhile.
template <int width>
void GradientPanel(const Spectrum& x, const float* x_sums, const Spectrum& dy,
                   const Spectrum& gradient, int bin, int64_t group) {
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
        const float* a_sums = x_sums + (block * x.groups + tile / kTilesOfGroup) * kRows * kLanes;
#pragma GCC unroll 4
        for (int row = 0; row < kRows; row++) {
          AddProducts<width, true>(chunk + channel + row * kRowFloats, 1,
                                   a_sums + channel + row * kLanes, 1, d + row * kRowFloats,
                                   d_group_stride, sums);
        }
      }
      total.Add(sums);
    }
    total.template StoreTo<true>(gradient.At(bin, group, kRows * tile), gradient.GroupStride());
  }
}

// The sums of the real and imaginary parts of one bin of x, [block][group][row][lane]. The next bin is prefetched meanwhile.
void SumParts(const Spectrum& x, int bin, float* sums) {
  for (int64_t block = 0; block < x.rows / kRows; block++) {
    for (int64_t group = 0; group < x.groups; group++) {
      const float* chunk = x.At(bin, group, kRows * block);
      PrefetchChunk(chunk + kChunkFloats);
#pragma GCC unroll 4
      for (int row = 0; row < kRows; row++, sums += kLanes) {
        const float* numbers = chunk + row * kRowFloats;
        *reinterpret_cast<Vector*>(sums) = Load(numbers) + Load(numbers + kLanes);
      }
    }
  }
}

// Calls `panel(width, sums, bin, group)` for every bin, and groups of channels taken `width` at once.
template <typename Panel>
void ForEachPanel(const Spectrum& x, const Spectrum& result, int64_t inner, const Panel& panel) {
  const size_t cost = result.rows * result.groups * kLanes * inner / 4;
  const int64_t floats = x.rows * x.groups * kLanes;
  auto* scratch = static_cast<float*>(
      ScratchFor(ScratchPurpose::kSumsOfParts, omp_get_max_threads() * floats * sizeof(float)));
  std::atomic<int> next{0};
  Parallel(result.bins, cost, [&](size_t begin, size_t end) {
    float* sums = scratch + next++ * floats;
    for (int bin = static_cast<int>(begin); bin < static_cast<int>(end); bin++) {
      SumParts(x, bin, sums);
      int64_t group = 0;
      for (; group + kWidth <= result.groups; group += kWidth) {
        panel(std::integral_constant<int, kWidth>(), sums, bin, group);
      }
      for (; group < result.groups; group++) {
        panel(std::integral_constant<int, 1>(), sums, bin, group);
      }
    }
    FinishStreaming();
  });
}

}  // namespace

void Multiply(const Spectrum& x, const Spectrum& filters, int64_t inner, const Spectrum& y) {
  ForEachPanel(x, y, inner, [&](auto width, const float* sums, int bin, int64_t group) {
    MultiplyPanel<width>(x, sums, filters, inner, y, bin, group);
  });
}

void MultiplyForFilters(const Spectrum& x, const Spectrum& dy, const Spectrum& gradient) {
  ForEachPanel(x, gradient, x.rows, [&](auto width, const float* sums, int bin, int64_t group) {
    GradientPanel<width>(x, sums, dy, gradient, bin, group);
  });
}

}  // namespace twotower::fft
