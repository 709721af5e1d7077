// What the files of the driver share.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_DRIVER_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_DRIVER_H_

#include "call.h"
#include "gpu.h"

namespace cuda_double {

// Whether cuInit was called.
bool IsInitialized();

// A function of the driver that works after cuInit.
template <typename Body>
int DriverCall(const char* symbol, const Body& body) noexcept {
  return Call(Library::kDriver, symbol, [&] {
    if (!IsInitialized()) throw DriverStatus{kNotInitialized};
    body();
  });
}

// A function that needs a current context. The body takes its GPU.
template <typename Body>
int ContextCall(const char* symbol, const Body& body) noexcept {
  return DriverCall(symbol, [&] { body(CurrentGpu()); });
}

inline void Require(bool is_right, int status) {
  if (!is_right) throw DriverStatus{status};
}

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_DRIVER_H_
