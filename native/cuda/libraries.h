// Finds and opens NVIDIA's libraries. Each is opened once a process and never closed.

#ifndef TWOTOWER_NATIVE_CUDA_LIBRARIES_H_
#define TWOTOWER_NATIVE_CUDA_LIBRARIES_H_

#include <string>
#include <vector>

#include "api.h"

namespace twotower::cuda {

// Folders in which libraries are looked for before the system's loader path. The first call of the process counts.
void LookIn(std::vector<std::string> folders);

// The functions of a library, which is opened first if it was not yet. Throws DeviceError, with the library's name and
// the remedy, if it is not there or lacks a function. The driver is initialized; there may be no GPU.
const Driver& TheDriver();
const Nvrtc& TheNvrtc();
const CublasLt& TheCublasLt();
const Cudnn& TheCudnn();
const NvJpeg& TheNvJpeg();
// What sums over hosts may do without.
const Nccl& TheNccl();

// The files of the driver, NVRTC, cuBLASLt and cuDNN, in this order; names without a folder are where the system's loader
// found them. Opens all of them, with the same errors.
std::vector<std::string> Files();
// The same of NCCL.
std::string NcclFile();

// nvJPEG, which a run can do without.
struct NvJpegLibrary {
  int major, minor;
  std::string file;
};

// Opens nvJPEG. Throws DeviceError, with the remedy, if it is not there or too old.
NvJpegLibrary FindNvJpeg();

// Throw DeviceError with the call's name and the library's words unless the status is 0.
void CheckDriver(int status, const char* call);
void CheckNvrtc(int status, const char* call);
void CheckCublasLt(int status, const char* call);
void CheckCudnn(int status, const char* call);
void CheckNvJpeg(int status, const char* call);
void CheckNccl(int status, const char* call);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_LIBRARIES_H_
