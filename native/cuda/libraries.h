// Finds and opens NVIDIA's libraries. Each is opened once a process and never closed.

#ifndef TWOTOWER_NATIVE_CUDA_LIBRARIES_H_
#define TWOTOWER_NATIVE_CUDA_LIBRARIES_H_

#include <string>
#include <vector>

#include "api.h"

namespace twotower::cuda {

// Folders in which libraries are looked for before the system's loader path. Call before the first library is opened.
void LookIn(std::vector<std::string> folders);

// The functions of a library, which is opened first if it was not yet. Throws std::runtime_error, with the library's name
// and the places where it was looked for, if it is not there or lacks a function.
const Driver& TheDriver();
const Nvrtc& TheNvrtc();
const CublasLt& TheCublasLt();
const Cudnn& TheCudnn();

// A library's file, as the loader found it; the name of a library is one of driver, nvrtc, cublasLt, cudnn. The same errors.
std::string FileOf(const std::string& library);

// Throws std::runtime_error with the call's name and the library's words unless the status is 0.
void CheckDriver(int status, const char* call);
void CheckLibrary(int status, const char* call);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_LIBRARIES_H_
