// Arrays as cuDNN and cuBLASLt take them.

#ifndef TWOTOWER_NATIVE_CUDA_OPERAND_H_
#define TWOTOWER_NATIVE_CUDA_OPERAND_H_

#include <cstddef>
#include <cstdint>

#include "../kernels.h"
#include "device.h"
#include "layer_kernels.h"

namespace twotower::cuda {

inline size_t BytesOf(size_t length, Precision precision) {
  return length * (precision == Precision::kBf16 ? 2 : 4);
}

// Floats as an operand: where they lie, or a copy in scratch memory, which in bf16 is rounded. Both libraries choose algorithms
// for memory that is aligned as cuMemAlloc's is, so a part of an array that is not is copied too.
class Operand {
 public:
  Operand(const float* x, size_t length, Precision precision)
      : copy_(NeedsCopy(x, precision) ? BytesOf(length, precision) : 0), x_(x) {
    if (!NeedsCopy(x, precision)) return;
    if (precision == Precision::kBf16) {
      ToBf16(length, x, copy_.As<void>());
    } else {
      Device::OfThread().Copy(copy_.As<void>(), x, length * sizeof(float));
    }
    x_ = copy_.As<void>();
  }
  operator const void*() const { return x_; }

 private:
  static bool NeedsCopy(const float* x, Precision precision) {
    constexpr uintptr_t kAlignment = 256;
    return precision == Precision::kBf16 || reinterpret_cast<uintptr_t>(x) % kAlignment != 0;
  }

  Scratch copy_;
  const void* x_;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_OPERAND_H_
