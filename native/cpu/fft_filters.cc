// Filters to spectra and back, by sums over their few elements.

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "fft_spectrum.h"
#include "fft_transform.h"
#include "parallel.h"

namespace twotower::fft {
namespace {

constexpr int kMaxHalf = kMostTransform / 2;

// cos and sin of 2πk(j − shift)/n, for each bin k and element j.
template <int size>
struct Phases {
  float cosine[2 * kMaxHalf][size], sine[2 * kMaxHalf][size];

  Phases(int n, int64_t shift) {
    for (int k = 0; k < n; k++) {
      for (int j = 0; j < size; j++) {
        const auto turns = static_cast<double>(((k * (j - shift)) % n + n) % n) / n;
        cosine[k][j] = static_cast<float>(std::cos(6.283185307179586476925286766559 * turns));
        sine[k][j] = static_cast<float>(std::sin(6.283185307179586476925286766559 * turns));
      }
    }
  }
};

template <int size>
void TransformFilter(int n, const Filters& filters, const Phases<size>& y, const Phases<size>& x,
                     int64_t row, int64_t group, const Spectrum& spectrum) {
  const Bins bins{n};
  const int channels = static_cast<int>(std::min<int64_t>(kLanes, filters.count - group * kLanes));
  const float scale = 1.f / static_cast<float>(n * n);
  const float* from =
      filters.data + (filters.first_row + row) * filters.channels + filters.first + group * kLanes;
  Complex half_done[kMaxHalf + 1][size];
  for (int a = 0; a < size; a++) {
    Vector element[size] = {};
    if (row < filters.row_count) {
      for (int b = 0; b < size; b++) {
        const float* at = from + (a * size + b) * filters.rows * filters.channels;
        element[b] = LoadPart(at, channels) * scale;
      }
    }
    for (int kx = 0; kx <= bins.Half(); kx++) {
      Complex sum{};
#pragma GCC unroll 16
      for (int b = 0; b < size; b++) {
        sum.re += element[b] * x.cosine[kx][b];
        sum.im += element[b] * x.sine[kx][b];
      }
      half_done[kx][a] = sum;
    }
  }
  const auto store = [](float* at, Vector re, Vector im) TWOTOWER_INLINE {
    Stream(at, re);
    Stream(at + kLanes, im);
  };
  for (int kx = 0; kx <= bins.Half(); kx++) {
    const Complex* column = half_done[kx];
    float* to = spectrum.At(bins.Column(kx), group, row);
    for (int ky = 0; ky <= bins.Half(); ky++) {
      // e^(±iθ) times the column: the two signs share their products.
      Vector cosine_re{}, sine_im{}, cosine_im{}, sine_re{};
#pragma GCC unroll 16
      for (int a = 0; a < size; a++) {
        cosine_re += column[a].re * y.cosine[ky][a];
        sine_im += column[a].im * y.sine[ky][a];
        cosine_im += column[a].im * y.cosine[ky][a];
        sine_re += column[a].re * y.sine[ky][a];
      }
      store(to + ky * kChunkFloats, cosine_re - sine_im, cosine_im + sine_re);
      if (bins.IsOwnMirror(kx) || ky == 0 || 2 * ky == n) continue;
      store(to + (n - ky) * kChunkFloats, cosine_re + sine_im, cosine_im - sine_re);
    }
  }
}

template <int size>
void InverseFilter(int n, const Spectrum& spectrum, const Phases<size>& y, const Phases<size>& x,
                   int64_t row, int64_t group, const Filters& gradients) {
  const Bins bins{n};
  // Each row of a spectrum holds two images' sums.
  const float scale = 0.5f / static_cast<float>(n * n);
  Vector elements[size][size] = {};
  for (int kx = 0; kx <= bins.Half(); kx++) {
    const bool own_mirror = bins.IsOwnMirror(kx);
    const float* from = spectrum.At(bins.Column(kx), group, row);
    const auto at = [&](int ky) TWOTOWER_INLINE {
      const float* bin = from + ky * kChunkFloats;
      return Complex{Load(bin), Load(bin + kLanes)};
    };
    Complex column[size] = {};
    for (int ky = 0; ky <= bins.Half(); ky++) {
      const Complex bin = at(ky);
      Complex sum = bin;
      Complex difference{};
      if (ky > 0 && 2 * ky < n) {
        const Complex mirror = own_mirror ? Complex{bin.re, -bin.im} : at(n - ky);
        sum = bin + mirror;
        difference = bin - mirror;
      }
#pragma GCC unroll 16
      for (int a = 0; a < size; a++) {
        column[a].re += sum.re * y.cosine[ky][a] - difference.im * y.sine[ky][a];
        column[a].im += sum.im * y.cosine[ky][a] + difference.re * y.sine[ky][a];
      }
    }
    // A column that is not its own mirror image stands for two.
    const float weight = own_mirror ? scale : 2 * scale;
#pragma GCC unroll 16
    for (int a = 0; a < size; a++) {
#pragma GCC unroll 16
      for (int b = 0; b < size; b++) {
        elements[a][b] += column[a].re * (weight * x.cosine[kx][b]) -
                          column[a].im * (weight * x.sine[kx][b]);
      }
    }
  }
  const int channels =
      static_cast<int>(std::min<int64_t>(kLanes, gradients.count - group * kLanes));
  float* to = gradients.data + (gradients.first_row + row) * gradients.channels +
              gradients.first + group * kLanes;
  for (int a = 0; a < size; a++) {
    for (int b = 0; b < size; b++) {
      StorePart(to + (a * size + b) * gradients.rows * gradients.channels, elements[a][b], channels);
    }
  }
}

// Calls `call` with the filter's size as a compile-time constant; false if there is none of that size.
template <typename Call>
bool WithFilterSize(int64_t size, const Call& call) {
  switch (size) {
    case 3: call(std::integral_constant<int, 3>()); return true;
    case 5: call(std::integral_constant<int, 5>()); return true;
    case 7: call(std::integral_constant<int, 7>()); return true;
    default: return false;
  }
}

// Calls `call(row, group)` for the `rows` first rows.
template <typename Call>
void ForEachFilter(int n, const Filters& filters, const Spectrum& spectrum, int64_t rows,
                   const Call& call) {
  const size_t cost = n * n * filters.size * kLanes / 4;
  const int64_t blocks = (rows + kRows - 1) / kRows;
  Parallel(blocks * spectrum.groups, kRows * cost, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const int64_t first = static_cast<int64_t>(item) / spectrum.groups * kRows;
      const int64_t group = static_cast<int64_t>(item) % spectrum.groups;
      for (int64_t row = first; row < std::min(first + kRows, rows); row++) call(row, group);
    }
    FinishStreaming();
  });
}

}  // namespace

bool HasFilterSize(int64_t size) {
  return WithFilterSize(size, [](auto) {});
}

void TransformFilters(int n, const Filters& filters, const Spectrum& spectrum) {
  WithFilterSize(filters.size, [&](auto size) {
    const Phases<size> y(n, filters.shift_y);
    const Phases<size> x(n, filters.shift_x);
    ForEachFilter(n, filters, spectrum, spectrum.rows, [&](int64_t row, int64_t group) {
      TransformFilter<size>(n, filters, y, x, row, group, spectrum);
    });
  });
}

void InverseFilters(int n, const Spectrum& spectrum, const Filters& gradients) {
  WithFilterSize(gradients.size, [&](auto size) {
    const Phases<size> y(n, gradients.shift_y);
    const Phases<size> x(n, gradients.shift_x);
    ForEachFilter(n, gradients, spectrum, gradients.row_count, [&](int64_t row, int64_t group) {
      InverseFilter<size>(n, spectrum, y, x, row, group, gradients);
    });
  });
}

}  // namespace twotower::fft
