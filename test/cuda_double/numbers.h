// Number formats of operands: arrays are computed with as float32.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_NUMBERS_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_NUMBERS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace cuda_double {

enum class Format { kFloat32, kBfloat16 };

inline size_t BytesOf(Format format) { return format == Format::kFloat32 ? 4 : 2; }

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// To the nearest, of two the even one.
inline uint16_t ToBfloat16(float value) {
  const uint32_t bits = BitsOf(value);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// What tensor cores make of a float32: ten bits of its fraction.
inline float ToTf32(float value) {
  const uint32_t bits = BitsOf(value);
  const bool is_finite = (bits & 0x7f800000) != 0x7f800000;
  return is_finite ? FloatOf((bits + 0x1000) & 0xffffe000) : value;
}

inline std::vector<float> Read(const void* from, size_t count, Format format, bool is_tf32) {
  std::vector<float> values(count);
  if (format == Format::kBfloat16) {
    const auto* numbers = static_cast<const uint16_t*>(from);
    for (size_t i = 0; i < count; i++) values[i] = FloatOf(uint32_t{numbers[i]} << 16);
  } else {
    const auto* numbers = static_cast<const float*>(from);
    if (count > 0) std::memcpy(values.data(), numbers, 4 * count);
    if (is_tf32) {
      for (float& value : values) value = ToTf32(value);
    }
  }
  return values;
}

// Stores alpha value + beta old at an index; what is there is not read if beta is 0.
struct Output {
  void* to;
  Format format;
  float alpha, beta;

  void Store(size_t index, float value) const {
    float result = alpha == 0 ? 0.f : alpha * value;
    if (format == Format::kBfloat16) {
      uint16_t& number = static_cast<uint16_t*>(to)[index];
      if (beta != 0) result += beta * FloatOf(uint32_t{number} << 16);
      number = ToBfloat16(result);
    } else {
      float& number = static_cast<float*>(to)[index];
      number = beta == 0 ? result : result + beta * number;
    }
  }
};

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_NUMBERS_H_
