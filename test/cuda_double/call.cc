#include "call.h"

#include <atomic>
#include <map>

#include "settings.h"

namespace cuda_double {
namespace {

// The status with which all calls of a library fail, or 0.
std::atomic<int>& LostStatus(Library library) {
  static std::atomic<int> statuses[kLibraries] = {};
  return statuses[static_cast<int>(library)];
}

std::atomic<long> failing_calls{0};

}  // namespace

int FailureOf(Library library, const char* symbol) {
  const Settings& settings = TheSettings();
  if (settings.failing_call > 0 && settings.failing_symbol == symbol &&
      ++failing_calls == settings.failing_call) {
    LostStatus(library) = settings.failing_status;
  }
  const int own = LostStatus(library);
  if (own != 0) return own;
  const int driver = LostStatus(Library::kDriver);
  return driver == 0 || library == Library::kNvrtc ? 0 : ExecutionFailedOf(library, driver);
}

void LoseGpus(int status) {
  int none = 0;
  LostStatus(Library::kDriver).compare_exchange_strong(none, status);
}

bool AreGpusLost() { return LostStatus(Library::kDriver) != 0; }

bool AreGpusLostHere() {
  static std::atomic<long> calls{0};
  if (++calls == TheSettings().lost_at) LoseGpus(kIllegalAddress);
  return AreGpusLost();
}

int OutOfMemoryOf(Library library) {
  switch (library) {
    case Library::kDriver: return kOutOfMemory;
    case Library::kNvrtc: return 1;     // NVRTC_ERROR_OUT_OF_MEMORY
    case Library::kCublasLt: return 3;  // CUBLAS_STATUS_ALLOC_FAILED
    case Library::kCudnn: return 4003;  // CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED
    case Library::kNvJpeg: return 5;    // NVJPEG_STATUS_ALLOCATOR_FAILURE
    case Library::kNccl: return 2;      // ncclSystemError
  }
  return kUnknown;
}

int ExecutionFailedOf(Library library, int driver_status) {
  switch (library) {
    case Library::kDriver: return driver_status;
    case Library::kNvrtc: return 11;     // NVRTC_ERROR_INTERNAL_ERROR
    case Library::kCublasLt: return 13;  // CUBLAS_STATUS_EXECUTION_FAILED
    case Library::kCudnn: return 5001;   // CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER
    case Library::kNvJpeg: return 6;     // NVJPEG_STATUS_EXECUTION_FAILED
    case Library::kNccl: return 1;       // ncclUnhandledCudaError
  }
  return kUnknown;
}

int InternalErrorOf(Library library) {
  switch (library) {
    case Library::kDriver: return kUnknown;
    case Library::kNvrtc: return 11;     // NVRTC_ERROR_INTERNAL_ERROR
    case Library::kCublasLt: return 14;  // CUBLAS_STATUS_INTERNAL_ERROR
    case Library::kCudnn: return 4000;   // CUDNN_STATUS_INTERNAL_ERROR
    case Library::kNvJpeg: return 8;     // NVJPEG_STATUS_INTERNAL_ERROR
    case Library::kNccl: return 3;       // ncclInternalError
  }
  return kUnknown;
}

namespace {

const std::map<int, const char* const*>& ErrorTexts() {
  static const char* const kTexts[][2] = {
      {"CUDA_SUCCESS", "no error"},
      {"CUDA_ERROR_INVALID_VALUE", "invalid argument"},
      {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
      {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
      {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
      {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
      {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
      {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
      {"CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
      {"CUDA_ERROR_PEER_ACCESS_UNSUPPORTED",
       "peer access is not supported between these two devices"},
      {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
      {"CUDA_ERROR_NOT_FOUND", "named symbol not found"},
      {"CUDA_ERROR_NOT_READY", "device not ready"},
      {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
      {"CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
      {"CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
      {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
      {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
       "operation not permitted when stream is capturing"},
      {"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"},
      {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
      {"CUDA_ERROR_UNKNOWN", "unknown error"},
  };
  static const int kCodes[] = {0,   1,   2,   3,   100, 101, 200, 201, 209,
                               217, 400, 500, 600, 700, 704, 709, 719, 900, 903, 905, 999};
  static const std::map<int, const char* const*>& texts = *[] {
    auto* made = new std::map<int, const char* const*>();
    for (size_t i = 0; i < sizeof(kCodes) / sizeof(kCodes[0]); i++) (*made)[kCodes[i]] = kTexts[i];
    return made;
  }();
  return texts;
}

int FindText(int status, size_t index, const char** text) {
  const auto found = ErrorTexts().find(status);
  *text = found == ErrorTexts().end() ? nullptr : found->second[index];
  return *text == nullptr ? kInvalidValue : 0;
}

}  // namespace

// These two never fail for a GPU that was lost.
int cuGetErrorName(int status, const char** name) { return FindText(status, 0, name); }
int cuGetErrorString(int status, const char** text) { return FindText(status, 1, text); }

}  // namespace cuda_double
