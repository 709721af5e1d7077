// Compiles only if native/cuda/api.h declares what NVIDIA's own headers do. Every function's type is compared, with handles
// taken for void pointers and enumerations for int, and so are the constants and the structures' layouts. Without nvJPEG's
// header, its part is left out.

#include <cublasLt.h>
#include <cuda.h>
#include <cudnn.h>
#include <nccl.h>
#include <nvrtc.h>
#if __has_include(<nvjpeg.h>)
#include <nvjpeg.h>
#define TWOTOWER_HAS_NVJPEG
#endif

#include <cstddef>
#include <type_traits>

#include "../../../native/cuda/api.h"

namespace {

template <typename T>
struct Plain;

template <typename T>
constexpr bool kIsOpaque = std::is_class_v<T>;

template <typename T>
struct PlainTarget {
  using Type = std::conditional_t<std::is_enum_v<T>, int, T>;
};

template <typename T>
struct PlainTarget<T*> {
  using Type = typename Plain<T*>::Type;
};

template <typename T>
struct Plain {
  using Type = std::conditional_t<std::is_enum_v<T>, int, T>;
};

template <typename T>
struct Plain<T*> {
  using Bare = std::remove_const_t<T>;
  using Target = std::conditional_t<kIsOpaque<Bare>, void, typename PlainTarget<Bare>::Type>;
  using Type = std::conditional_t<std::is_const_v<T>, const Target*, Target*>;
};

// Passed by value.
template <>
struct Plain<ncclUniqueId> {
  using Type = twotower::cuda::NcclId;
};

template <typename Function>
struct Signature;

template <typename Result, typename... Parameters>
struct Signature<Result(Parameters...)> {
  using Type = typename Plain<Result>::Type(typename Plain<Parameters>::Type...);
};

template <typename Ours, typename Theirs>
constexpr bool kSame =
    std::is_same_v<typename Signature<std::remove_pointer_t<Ours>>::Type,
                   typename Signature<std::remove_pointer_t<std::decay_t<Theirs>>>::Type>;

using namespace twotower::cuda;

#define TWOTOWER_SAME(name, symbol, parameters) \
  static_assert(kSame<decltype(Library::name), decltype(::symbol)>, #symbol);

template <typename Library>
constexpr bool Driver_() {
  TWOTOWER_DRIVER(TWOTOWER_SAME)
  return true;
}
template <typename Library>
constexpr bool Nvrtc_() {
  TWOTOWER_NVRTC(TWOTOWER_SAME)
  return true;
}
template <typename Library>
constexpr bool CublasLt_() {
  TWOTOWER_CUBLASLT(TWOTOWER_SAME)
  return true;
}
template <typename Library>
constexpr bool Cudnn_() {
  TWOTOWER_CUDNN(TWOTOWER_SAME)
  return true;
}
template <typename Library>
constexpr bool Nccl_() {
  TWOTOWER_NCCL(TWOTOWER_SAME)
  return true;
}
static_assert(Driver_<Driver>() && Nvrtc_<Nvrtc>() && CublasLt_<CublasLt>() && Cudnn_<Cudnn>() &&
              Nccl_<Nccl>());

static_assert(kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(kNotInitialized == CUDA_ERROR_NOT_INITIALIZED);
static_assert(kNoDevice == CUDA_ERROR_NO_DEVICE);
static_assert(kNotReady == CUDA_ERROR_NOT_READY);
static_assert(kPeerAccessAlreadyEnabled == CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
static_assert(kCapabilityMajor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(kCapabilityMinor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(kStreamNonBlocking == CU_STREAM_NON_BLOCKING);
static_assert(kEventDisableTiming == CU_EVENT_DISABLE_TIMING);
static_assert(kEventRecordExternal == CU_EVENT_RECORD_EXTERNAL);
static_assert(kCaptureRelaxed == CU_STREAM_CAPTURE_MODE_RELAXED);
static_assert(kHostRegisterPortable == CU_MEMHOSTREGISTER_PORTABLE);
static_assert(kComputeFloat32 == CUBLAS_COMPUTE_32F);
static_assert(kComputeTf32 == CUBLAS_COMPUTE_32F_FAST_TF32);
static_assert(kCudaFloat32 == CUDA_R_32F && kCudaBfloat16 == CUDA_R_16BF);
static_assert(kTransposed == CUBLAS_OP_T);
static_assert(kMatmulTransA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(kMatmulTransB == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(kLayoutBatchCount == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
static_assert(kLayoutBatchOffset == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
static_assert(kPreferenceMaxWorkspaceBytes == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(kDnnFloat32 == CUDNN_DATA_FLOAT && kDnnBfloat16 == CUDNN_DATA_BFLOAT16);
static_assert(kNhwc == CUDNN_TENSOR_NHWC && kCrossCorrelation == CUDNN_CROSS_CORRELATION);
static_assert(kDeterministic == CUDNN_DETERMINISTIC);
static_assert(kTensorOpMath == CUDNN_TENSOR_OP_MATH && kFmaMath == CUDNN_FMA_MATH);

static_assert(kNcclInProgress == ncclInProgress && kNcclFloat32 == ncclFloat32);
static_assert(kNcclSum == ncclSum && sizeof(NcclId) == sizeof(ncclUniqueId));

static_assert(sizeof(Uuid) == sizeof(CUuuid));
static_assert(sizeof(MatmulHeuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(MatmulHeuristic, workspace_bytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(MatmulHeuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

template <typename Theirs>
constexpr bool SameLayout() {
  static_assert(sizeof(ConvolutionPerformance) == sizeof(Theirs));
  static_assert(offsetof(ConvolutionPerformance, status) == offsetof(Theirs, status));
  static_assert(offsetof(ConvolutionPerformance, workspace_bytes) == offsetof(Theirs, memory));
  static_assert(offsetof(ConvolutionPerformance, determinism) == offsetof(Theirs, determinism));
  static_assert(offsetof(ConvolutionPerformance, math_type) == offsetof(Theirs, mathType));
  return true;
}
static_assert(SameLayout<cudnnConvolutionFwdAlgoPerf_t>());
static_assert(SameLayout<cudnnConvolutionBwdDataAlgoPerf_t>());
static_assert(SameLayout<cudnnConvolutionBwdFilterAlgoPerf_t>());

#ifdef TWOTOWER_HAS_NVJPEG
template <typename Library>
constexpr bool NvJpeg_() {
  TWOTOWER_NVJPEG(TWOTOWER_SAME)
  return true;
}
static_assert(NvJpeg_<NvJpeg>());
static_assert(kMajorVersion == MAJOR_VERSION && kMinorVersion == MINOR_VERSION);
static_assert(kJpegHybrid == NVJPEG_BACKEND_HYBRID && kInterleavedRgb == NVJPEG_OUTPUT_RGBI);
static_assert(kJpegInvalidParameter == NVJPEG_STATUS_INVALID_PARAMETER);
static_assert(kJpegBad == NVJPEG_STATUS_BAD_JPEG);
static_assert(kJpegNotSupported == NVJPEG_STATUS_JPEG_NOT_SUPPORTED);
static_assert(kJpegAllocatorFailure == NVJPEG_STATUS_ALLOCATOR_FAILURE);
static_assert(kJpegInternalError == NVJPEG_STATUS_INTERNAL_ERROR);
static_assert(kJpegImplementationNotSupported == NVJPEG_STATUS_IMPLEMENTATION_NOT_SUPPORTED);
static_assert(kJpegIncomplete == NVJPEG_STATUS_INCOMPLETE_BITSTREAM);
static_assert(kJpegStrict == NVJPEG_FLAGS_BITSTREAM_STRICT);
static_assert(kJpegInterpolates == NVJPEG_FLAGS_UPSAMPLING_WITH_INTERPOLATION);
static_assert(kJpegComponents == NVJPEG_MAX_COMPONENT);
static_assert(sizeof(JpegPlanes) == sizeof(nvjpegImage_t));
static_assert(offsetof(JpegPlanes, pitches) == offsetof(nvjpegImage_t, pitch));
#endif

}  // namespace
