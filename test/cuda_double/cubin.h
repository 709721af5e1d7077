// What NVRTC's double gives for a compiled program, and the driver's takes.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_CUBIN_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_CUBIN_H_

#include <string>

namespace cuda_double {

// Followed by the architecture, two or three digits, and a NUL.
constexpr char kCubinStart[] = "twotower test cubin sm_";

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_CUBIN_H_
