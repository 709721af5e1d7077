// Arrays of float32 or bfloat16 numbers, as cuBLASLt and cuDNN read and write them. Both compute in float32.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_OPERANDS_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_OPERANDS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace cuda_double {

inline float Widen(uint16_t value) {
  const uint32_t bits = uint32_t{value} << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// To nearest, ties to even; NaN stays NaN.
inline uint16_t Narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline size_t BytesOf(size_t count, bool is_bf16) { return count * (is_bf16 ? 2 : 4); }

inline std::vector<float> Load(const void* from, size_t count, bool is_bf16) {
  std::vector<float> values(count);
  if (!is_bf16) {
    std::memcpy(values.data(), from, count * sizeof(float));
    return values;
  }
  const auto* narrow = static_cast<const uint16_t*>(from);
  for (size_t i = 0; i < count; i++) values[i] = Widen(narrow[i]);
  return values;
}

// to = alpha · values + beta · to; if beta is 0, what was there is not read.
inline void Store(const std::vector<float>& values, float alpha, float beta, bool is_bf16, void* to) {
  const std::vector<float> before =
      beta == 0 ? std::vector<float>(values.size()) : Load(to, values.size(), is_bf16);
  for (size_t i = 0; i < values.size(); i++) {
    const float value = alpha * values[i] + (beta == 0 ? 0 : beta * before[i]);
    if (is_bf16) {
      static_cast<uint16_t*>(to)[i] = Narrow(value);
    } else {
      static_cast<float*>(to)[i] = value;
    }
  }
}

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_OPERANDS_H_
