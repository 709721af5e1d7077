// What functions share that launch kernels.

#ifndef TWOTOWER_NATIVE_CUDA_LAUNCH_H_
#define TWOTOWER_NATIVE_CUDA_LAUNCH_H_

#include <cstdint>
#include <cstring>

#include "../numbers.h"
#include "../values.h"
#include "device.h"
#include "kernels/parameters.h"

namespace twotower::cuda {

// Launches a kernel with a thread per element.
template <typename... Parameters>
void LaunchFor(size_t count, const char* kernel, const Parameters&... parameters) {
  Device::OfThread().Launch(kernel, Grid::Of(count), parameters...);
}

// Launches a kernel with a block of kBlockThreads per item, as long as there are not too many: kernels step by the grid's size.
template <typename... Parameters>
void LaunchBlocks(size_t items, const char* kernel, const Parameters&... parameters) {
  Device::OfThread().Launch(kernel, Grid::Of(items * kBlockThreads), parameters...);
}

// The bits of a number as an element of this type.
inline uint32_t BitsOf(double value, Type type) {
  if (type == Type::kInt32) return static_cast<uint32_t>(ToInt32(value));
  if (type == Type::kBool) return static_cast<uint8_t>(ToInt32(value));
  const auto number = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits;
}

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_LAUNCH_H_
