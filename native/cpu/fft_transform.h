// Discrete Fourier transforms of fixed sizes in straight-line code. Each lane of a vector is a signal of its own.

#ifndef TWOTOWER_NATIVE_FFT_TRANSFORM_H_
#define TWOTOWER_NATIVE_FFT_TRANSFORM_H_

#include "fft_vector.h"

namespace twotower::fft {

struct Complex {
  Vector re, im;
};

TWOTOWER_INLINE inline Complex operator+(Complex a, Complex b) {
  return {a.re + b.re, a.im + b.im};
}

TWOTOWER_INLINE inline Complex operator-(Complex a, Complex b) {
  return {a.re - b.re, a.im - b.im};
}

TWOTOWER_INLINE inline Complex TimesMinusI(Complex a) { return {a.im, -a.re}; }

// cos and sin of 2πi/n, for 0 ≤ i < n. The standard library's functions are not constant expressions.
template <int n>
struct Roots {
  double cosine[n] = {};
  double sine[n] = {};

  constexpr Roots() {
    for (int i = 0; i < n; i++) {
      // The series converges fast between -π and π.
      const double angle = 6.283185307179586476925286766559 * (2 * i > n ? i - n : i) / n;
      double term = 1;
      for (int power = 0; power < 40; power++) {
        const double sign = power % 4 < 2 ? 1 : -1;
        (power % 2 == 0 ? cosine : sine)[i] += sign * term;
        term *= angle / (power + 1);
      }
    }
  }
};

template <int n>
inline constexpr Roots<n> kRoots{};

// Times e^(−2πik/n).
template <int n>
TWOTOWER_INLINE inline Complex Rotate(Complex a, int k) {
  if (k == 0) return a;
  if (4 * k == n) return TimesMinusI(a);
  if (2 * k == n) return {-a.re, -a.im};
  const float c = static_cast<float>(kRoots<n>.cosine[k]);
  const float s = static_cast<float>(kRoots<n>.sine[k]);
  return {a.re * c + a.im * s, a.im * c - a.re * s};
}

// The transform of n numbers, in place.
template <int n>
TWOTOWER_INLINE inline void Transform(Complex* x) {
  if constexpr (n == 2) {
    const Complex a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  } else if constexpr (n == 4) {
    const Complex a = x[0] + x[2];
    const Complex b = x[0] - x[2];
    const Complex c = x[1] + x[3];
    const Complex d = TimesMinusI(x[1] - x[3]);
    x[0] = a + c;
    x[1] = b + d;
    x[2] = a - c;
    x[3] = b - d;
  } else if constexpr (n == 8) {
    Complex even[4] = {x[0], x[2], x[4], x[6]};
    Complex odd[4] = {x[1], x[3], x[5], x[7]};
    Transform<4>(even);
    Transform<4>(odd);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
      const Complex turned = Rotate<8>(odd[k], k);
      x[k] = even[k] + turned;
      x[k + 4] = even[k] - turned;
    }
  } else if constexpr (n == 6) {
    // 2 and 3 have no common factor, so that no rotation is needed between them.
    Complex even[3] = {x[0], x[2], x[4]};
    Complex odd[3] = {x[3], x[5], x[1]};
    Transform<3>(even);
    Transform<3>(odd);
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
      x[4 * k % 6] = even[k] + odd[k];
      x[(4 * k + 3) % 6] = even[k] - odd[k];
    }
  } else {
    static_assert(n % 2 == 1, "by its definition, with the terms j and n - j taken together");
    constexpr int kHalf = n / 2;
    Complex sums[kHalf], differences[kHalf];
    const Complex first = x[0];
#pragma GCC unroll 8
    for (int j = 1; j <= kHalf; j++) {
      sums[j - 1] = x[j] + x[n - j];
      differences[j - 1] = x[j] - x[n - j];
      x[0] = x[0] + sums[j - 1];
    }
#pragma GCC unroll 8
    for (int k = 1; k <= kHalf; k++) {
      Complex cosines = first;
      Complex sines = {Vector{}, Vector{}};
#pragma GCC unroll 8
      for (int j = 1; j <= kHalf; j++) {
        const float c = static_cast<float>(kRoots<n>.cosine[j * k % n]);
        const float s = static_cast<float>(kRoots<n>.sine[j * k % n]);
        cosines = {cosines.re + sums[j - 1].re * c, cosines.im + sums[j - 1].im * c};
        sines = {sines.re + differences[j - 1].re * s, sines.im + differences[j - 1].im * s};
      }
      const Complex turned = TimesMinusI(sines);
      x[k] = cosines + turned;
      x[n - k] = cosines - turned;
    }
  }
}

// The greater factor of a size; both must be sizes of Transform.
constexpr int FactorOf(int n) {
  switch (n) {
    case 8: return 4;
    case 9: return 3;
    case 10: return 5;
    case 12: return 4;
    case 14: return 7;
    case 15: return 5;
    case 16: return 4;
    case 18: return 6;
    case 20: return 5;
    case 24: return 6;
    case 28: return 7;
    case 30: return 6;
    case 32: return 8;
    case 36: return 6;
    default: return 0;
  }
}

// The transform of load(0) … load(n − 1), given to store(index, value) in some order. Calls are unrolled, so that the index is
// a constant.
template <int n, typename Load, typename Store>
TWOTOWER_INLINE inline void Transform(const Load& load, const Store& store) {
  constexpr int kInner = FactorOf(n);
  constexpr int kOuter = n / kInner;
  static_assert(kInner * kOuter == n, "a size without factors");
  Complex parts[kOuter][kInner];
#pragma GCC unroll 8
  for (int r = 0; r < kOuter; r++) {
    Complex part[kInner];
#pragma GCC unroll 8
    for (int m = 0; m < kInner; m++) part[m] = load(r + kOuter * m);
    Transform<kInner>(part);
#pragma GCC unroll 8
    for (int k = 0; k < kInner; k++) parts[r][k] = Rotate<n>(part[k], r * k);
  }
#pragma GCC unroll 8
  for (int k = 0; k < kInner; k++) {
    Complex part[kOuter];
#pragma GCC unroll 8
    for (int r = 0; r < kOuter; r++) part[r] = parts[r][k];
    Transform<kOuter>(part);
#pragma GCC unroll 8
    for (int j = 0; j < kOuter; j++) store(k + kInner * j, part[j]);
  }
}

}  // namespace twotower::fft

#endif  // TWOTOWER_NATIVE_FFT_TRANSFORM_H_
