// What every function of the libraries does first and last: a failure that a test asked for, and no exception leaves it.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_CALL_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_CALL_H_

#include <cstddef>
#include <new>

#include "api.h"

namespace cuda_double {

using twotower::cuda::Address;
using twotower::cuda::ConvolutionPerformance;
using twotower::cuda::JpegPlanes;
using twotower::cuda::MatmulHeuristic;
using twotower::cuda::NcclId;
using twotower::cuda::Uuid;

// The compiler so checks that the functions are what api.h says.
#define CUDA_DOUBLE_EXPORT(name, symbol, parameters) \
  extern "C" __attribute__((visibility("default"))) int symbol parameters;
TWOTOWER_DRIVER(CUDA_DOUBLE_EXPORT)
TWOTOWER_NVRTC(CUDA_DOUBLE_EXPORT)
TWOTOWER_CUBLASLT(CUDA_DOUBLE_EXPORT)
TWOTOWER_CUDNN(CUDA_DOUBLE_EXPORT)
TWOTOWER_NVJPEG(CUDA_DOUBLE_EXPORT)
TWOTOWER_NCCL(CUDA_DOUBLE_EXPORT)
#undef CUDA_DOUBLE_EXPORT

// Statuses of the driver.
enum : int {
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kPeerAccessUnsupported = 217,
  kInvalidHandle = 400,
  kNotFound = 500,
  kIllegalAddress = 700,
  kPeerAccessAlreadyEnabled = 704,
  kContextIsDestroyed = 709,
  kCaptureUnsupported = 900,
  kCaptureUnmatched = 903,
  kCaptureIsolation = 905,
  kHostMemoryAlreadyRegistered = 712,
  kHostMemoryNotRegistered = 713,
  kUnknown = 999,
};

enum class Library { kDriver, kNvrtc, kCublasLt, kCudnn, kNvJpeg, kNccl };
constexpr int kLibraries = static_cast<int>(Library::kNccl) + 1;

// Thrown in a function's body to return a status. A Status is one of the library that was called; a DriverStatus becomes
// "execution failed" in the other libraries.
struct Status {
  int code;
};
struct DriverStatus {
  int code;
};

// The status with which a call must fail, or 0. The call that TWOTOWER_DOUBLE_FAIL names fails with its status, and from then
// on every call of its library does. Once the driver fails, so do the other libraries: the GPU is lost.
int FailureOf(Library library, const char* symbol);

// From now on, every call of the driver fails with the status.
void LoseGpus(int status);
bool AreGpusLost();

// Called where TWOTOWER_DOUBLE_LOST_AT counts; returns whether the GPUs are lost.
bool AreGpusLostHere();

// Statuses of a library for what is not its caller's mistake.
int OutOfMemoryOf(Library library);
int ExecutionFailedOf(Library library, int driver_status);
int InternalErrorOf(Library library);

// A function of a library, whose body throws a Status unless it succeeds.
template <typename Body>
int Call(Library library, const char* symbol, const Body& body) noexcept {
  const int failure = FailureOf(library, symbol);
  if (failure != 0) return failure;
  try {
    body();
    return 0;
  } catch (const Status& status) {
    return status.code;
  } catch (const DriverStatus& status) {
    return ExecutionFailedOf(library, status.code);
  } catch (const std::bad_alloc&) {
    return OutOfMemoryOf(library);
  } catch (...) {
    return InternalErrorOf(library);
  }
}

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_CALL_H_
