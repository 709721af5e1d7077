// Host memory that programs have page-locked. Copies from there read it when their stream comes to them, not at the call.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_HOST_MEMORY_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_HOST_MEMORY_H_

#include <cstddef>

namespace cuda_double {

// Whether all these bytes are page-locked, by one registration; throws the driver's status if some of them are.
bool IsLocked(const void* memory, size_t bytes);

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_HOST_MEMORY_H_
