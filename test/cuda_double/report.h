// The report for TWOTOWER_DOUBLE_REPORT, which tells a test what a program left behind. It is written when the process ends.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_REPORT_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_REPORT_H_

#include <cstddef>

#include "handles.h"

namespace cuda_double {

// Of the objects that belong to no GPU: NVRTC's programs, the handles and descriptors of cuBLASLt and cuDNN, the handles and
// states of nvJPEG, and registrations of host memory.
struct LibraryCounts {
  Count nvrtc;
  Count cublas_lt;
  Count cudnn;
  Count nvjpeg;
  Count host_memory;
};

LibraryCounts& TheLibraryCounts();

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_REPORT_H_
