// Functions of single numbers that several kernels share.

#ifndef TWOTOWER_NATIVE_NUMBERS_H_
#define TWOTOWER_NATIVE_NUMBERS_H_

#include <cmath>
#include <cstdint>

namespace twotower {

// ECMAScript's ToInt32: the value of an Int32Array's element after a number is assigned to it.
inline int32_t ToInt32(double value) {
  if (value > -2147483649.0 && value < 2147483648.0) return static_cast<int32_t>(value);
  if (!std::isfinite(value)) return 0;
  const double wrapped = std::fmod(std::trunc(value), 4294967296.0);
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(wrapped)));
}

// max(0, value), of which NaN stays NaN.
inline float Relu(float value) { return value < 0 ? 0.f : value; }

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_NUMBERS_H_
