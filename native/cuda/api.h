// The functions of NVIDIA's libraries that this device calls: of the driver (CUDA 12 or newer), NVRTC, cuBLASLt, cuDNN 9, and
// two that are optional, nvJPEG (12.1 or newer) and NCCL 2. They are opened at run time, so the addon builds and loads where
// there is no CUDA toolkit and no GPU.
//
// Declarations follow NVIDIA's headers: handles are void pointers, enumerations are int. test/backend/cuda compares them
// with the headers themselves. Each list has a line per function: its name here, the library's symbol, its parameters.
// All of them return a status that is 0 for success.

#ifndef TWOTOWER_NATIVE_CUDA_API_H_
#define TWOTOWER_NATIVE_CUDA_API_H_

#include <cstddef>
#include <cstdint>

namespace twotower::cuda {

// An address in a device's memory (CUdeviceptr).
using Address = unsigned long long;

struct Uuid {
  unsigned char bytes[16];
};

constexpr int kOutOfMemory = 2;               // CUDA_ERROR_OUT_OF_MEMORY
constexpr int kNotInitialized = 3;            // CUDA_ERROR_NOT_INITIALIZED
constexpr int kNoDevice = 100;                // CUDA_ERROR_NO_DEVICE
constexpr int kNotReady = 600;                // CUDA_ERROR_NOT_READY
constexpr int kPeerAccessAlreadyEnabled = 704;  // CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED
constexpr int kCapabilityMajor = 75;          // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kCapabilityMinor = 76;          // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
constexpr unsigned kStreamNonBlocking = 1;    // CU_STREAM_NON_BLOCKING
constexpr unsigned kEventDisableTiming = 2;   // CU_EVENT_DISABLE_TIMING
constexpr unsigned kEventRecordExternal = 1;  // CU_EVENT_RECORD_EXTERNAL
constexpr int kCaptureRelaxed = 2;            // CU_STREAM_CAPTURE_MODE_RELAXED
constexpr unsigned kHostRegisterPortable = 1;  // CU_MEMHOSTREGISTER_PORTABLE

#define TWOTOWER_DRIVER(F)                                                                        \
  F(init, cuInit, (unsigned flags))                                                               \
  F(driverGetVersion, cuDriverGetVersion, (int* version))                                         \
  F(getErrorName, cuGetErrorName, (int status, const char** name))                                \
  F(getErrorString, cuGetErrorString, (int status, const char** text))                            \
  F(deviceGetCount, cuDeviceGetCount, (int* count))                                               \
  F(deviceGet, cuDeviceGet, (int* device, int ordinal))                                           \
  F(deviceGetName, cuDeviceGetName, (char* name, int length, int device))                         \
  F(deviceGetUuid, cuDeviceGetUuid_v2, (Uuid * uuid, int device))                                 \
  F(deviceGetAttribute, cuDeviceGetAttribute, (int* value, int attribute, int device))            \
  F(deviceTotalMem, cuDeviceTotalMem_v2, (size_t * bytes, int device))                            \
  F(deviceCanAccessPeer, cuDeviceCanAccessPeer, (int* can, int device, int peer))                 \
  F(primaryContextRetain, cuDevicePrimaryCtxRetain, (void** context, int device))                 \
  F(primaryContextRelease, cuDevicePrimaryCtxRelease_v2, (int device))                            \
  F(contextSetCurrent, cuCtxSetCurrent, (void* context))                                          \
  F(contextEnablePeerAccess, cuCtxEnablePeerAccess, (void* peer, unsigned flags))                 \
  F(memAlloc, cuMemAlloc_v2, (Address * address, size_t bytes))                                   \
  F(memFree, cuMemFree_v2, (Address address))                                                     \
  F(memGetInfo, cuMemGetInfo_v2, (size_t * free, size_t * total))                                 \
  F(memHostRegister, cuMemHostRegister_v2, (void* memory, size_t bytes, unsigned flags))          \
  F(memHostUnregister, cuMemHostUnregister, (void* memory))                                       \
  F(memcpyToDevice, cuMemcpyHtoDAsync_v2,                                                         \
    (Address to, const void* from, size_t bytes, void* stream))                                   \
  F(memcpyToDeviceNow, cuMemcpyHtoD_v2, (Address to, const void* from, size_t bytes))             \
  F(memcpyToHost, cuMemcpyDtoHAsync_v2, (void* to, Address from, size_t bytes, void* stream))     \
  F(memcpyOnDevice, cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t bytes, void* stream)) \
  F(memcpyPeer, cuMemcpyPeerAsync,                                                                \
    (Address to, void* to_context, Address from, void* from_context, size_t bytes, void* stream)) \
  F(streamCreate, cuStreamCreate, (void** stream, unsigned flags))                                \
  F(streamDestroy, cuStreamDestroy_v2, (void* stream))                                            \
  F(streamSynchronize, cuStreamSynchronize, (void* stream))                                       \
  F(streamQuery, cuStreamQuery, (void* stream))                                                   \
  F(launchHostFunction, cuLaunchHostFunc,                                                         \
    (void* stream, void (*function)(void*), void* data))                                          \
  F(streamWaitEvent, cuStreamWaitEvent, (void* stream, void* event, unsigned flags))              \
  F(eventCreate, cuEventCreate, (void** event, unsigned flags))                                   \
  F(eventElapsedTime, cuEventElapsedTime, (float* milliseconds, void* start, void* end))          \
  F(eventRecord, cuEventRecord, (void* event, void* stream))                                      \
  F(eventRecordInGraph, cuEventRecordWithFlags, (void* event, void* stream, unsigned flags))       \
  F(eventDestroy, cuEventDestroy_v2, (void* event))                                               \
  F(streamBeginCapture, cuStreamBeginCapture_v2, (void* stream, int mode))                        \
  F(streamEndCapture, cuStreamEndCapture, (void* stream, void** graph))                           \
  F(graphInstantiate, cuGraphInstantiateWithFlags,                                                \
    (void** executable, void* graph, unsigned long long flags))                                   \
  F(graphLaunch, cuGraphLaunch, (void* executable, void* stream))                                 \
  F(graphExecDestroy, cuGraphExecDestroy, (void* executable))                                     \
  F(graphDestroy, cuGraphDestroy, (void* graph))                                                  \
  F(moduleLoadData, cuModuleLoadData, (void** module, const void* image))                         \
  F(moduleUnload, cuModuleUnload, (void* module))                                                 \
  F(moduleGetFunction, cuModuleGetFunction, (void** function, void* module, const char* name))    \
  F(launchKernel, cuLaunchKernel,                                                                 \
    (void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,         \
     unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** parameters,  \
     void** extra))

#define TWOTOWER_NVRTC(F)                                                                         \
  F(version, nvrtcVersion, (int* major, int* minor))                                              \
  F(createProgram, nvrtcCreateProgram,                                                            \
    (void** program, const char* source, const char* name, int headers,                           \
     const char* const* header_sources, const char* const* header_names))                         \
  F(destroyProgram, nvrtcDestroyProgram, (void** program))                                        \
  F(compileProgram, nvrtcCompileProgram, (void* program, int count, const char* const* options))  \
  F(getNumSupportedArchs, nvrtcGetNumSupportedArchs, (int* count))                                \
  F(getSupportedArchs, nvrtcGetSupportedArchs, (int* architectures))                              \
  F(getCubinSize, nvrtcGetCUBINSize, (void* program, size_t* bytes))                              \
  F(getCubin, nvrtcGetCUBIN, (void* program, char* image))                                        \
  F(getLogSize, nvrtcGetProgramLogSize, (void* program, size_t* bytes))                           \
  F(getLog, nvrtcGetProgramLog, (void* program, char* log))

// cublasComputeType_t, cudaDataType, cublasOperation_t.
constexpr int kComputeFloat32 = 68;
constexpr int kComputeTf32 = 77;
constexpr int kCudaFloat32 = 0;
constexpr int kCudaBfloat16 = 14;
constexpr int kTransposed = 1;
// Attributes: cublasLtMatmulDescAttributes_t, cublasLtMatrixLayoutAttribute_t, cublasLtMatmulPreferenceAttributes_t.
constexpr int kMatmulTransA = 3;
constexpr int kMatmulTransB = 4;
constexpr int kLayoutBatchCount = 5;
constexpr int kLayoutBatchOffset = 6;
constexpr int kPreferenceMaxWorkspaceBytes = 1;

// cublasLtMatmulHeuristicResult_t
struct MatmulHeuristic {
  uint64_t algorithm[8];
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

#define TWOTOWER_CUBLASLT(F)                                                                    \
  F(create, cublasLtCreate, (void** handle))                                                    \
  F(destroy, cublasLtDestroy, (void* handle))                                                   \
  F(matmulDescriptorCreate, cublasLtMatmulDescCreate,                                           \
    (void** descriptor, int compute_type, int scale_type))                                      \
  F(matmulDescriptorDestroy, cublasLtMatmulDescDestroy, (void* descriptor))                     \
  F(matmulDescriptorSet, cublasLtMatmulDescSetAttribute,                                        \
    (void* descriptor, int attribute, const void* value, size_t bytes))                         \
  F(layoutCreate, cublasLtMatrixLayoutCreate,                                                   \
    (void** layout, int type, uint64_t rows, uint64_t columns, int64_t leading))                \
  F(layoutDestroy, cublasLtMatrixLayoutDestroy, (void* layout))                                 \
  F(layoutSet, cublasLtMatrixLayoutSetAttribute,                                                \
    (void* layout, int attribute, const void* value, size_t bytes))                             \
  F(preferenceCreate, cublasLtMatmulPreferenceCreate, (void** preference))                      \
  F(preferenceDestroy, cublasLtMatmulPreferenceDestroy, (void* preference))                     \
  F(preferenceSet, cublasLtMatmulPreferenceSetAttribute,                                        \
    (void* preference, int attribute, const void* value, size_t bytes))                         \
  F(heuristic, cublasLtMatmulAlgoGetHeuristic,                                                  \
    (void* handle, void* descriptor, void* a, void* b, void* c, void* d, void* preference,      \
     int requested, MatmulHeuristic* results, int* found))                                      \
  F(matmul, cublasLtMatmul,                                                                     \
    (void* handle, void* descriptor, const void* alpha, const void* a, void* a_layout,          \
     const void* b, void* b_layout, const void* beta, const void* c, void* c_layout, void* d,   \
     void* d_layout, const void* algorithm, void* workspace, size_t workspace_bytes,            \
     void* stream))

// cudnnDataType_t, cudnnTensorFormat_t, cudnnConvolutionMode_t, cudnnDeterminism_t, cudnnMathType_t.
constexpr int kDnnFloat32 = 0;
constexpr int kDnnBfloat16 = 9;
constexpr int kNhwc = 1;
constexpr int kCrossCorrelation = 1;
constexpr int kDeterministic = 1;
constexpr int kTensorOpMath = 1;
constexpr int kFmaMath = 3;

// cudnnConvolutionFwdAlgoPerf_t, and those of the gradients, which are laid out alike.
struct ConvolutionPerformance {
  int algorithm;
  int status;
  float milliseconds;
  size_t workspace_bytes;
  int determinism;
  int math_type;
  int reserved[3];
};

#define TWOTOWER_CUDNN(F)                                                                         \
  F(create, cudnnCreate, (void** handle))                                                         \
  F(destroy, cudnnDestroy, (void* handle))                                                        \
  F(setStream, cudnnSetStream, (void* handle, void* stream))                                      \
  F(tensorCreate, cudnnCreateTensorDescriptor, (void** descriptor))                               \
  F(tensorDestroy, cudnnDestroyTensorDescriptor, (void* descriptor))                              \
  F(tensorSet, cudnnSetTensor4dDescriptor,                                                        \
    (void* descriptor, int format, int type, int batch, int channels, int height, int width))     \
  F(filterCreate, cudnnCreateFilterDescriptor, (void** descriptor))                               \
  F(filterDestroy, cudnnDestroyFilterDescriptor, (void* descriptor))                              \
  F(filterSet, cudnnSetFilter4dDescriptor,                                                        \
    (void* descriptor, int type, int format, int out_channels, int in_channels, int height,       \
     int width))                                                                                  \
  F(convolutionCreate, cudnnCreateConvolutionDescriptor, (void** descriptor))                     \
  F(convolutionDestroy, cudnnDestroyConvolutionDescriptor, (void* descriptor))                    \
  F(convolutionSet, cudnnSetConvolution2dDescriptor,                                              \
    (void* descriptor, int pad_height, int pad_width, int stride_height, int stride_width,        \
     int dilation_height, int dilation_width, int mode, int compute_type))                        \
  F(convolutionSetMath, cudnnSetConvolutionMathType, (void* descriptor, int math_type))           \
  F(forwardAlgorithms, cudnnGetConvolutionForwardAlgorithm_v7,                                    \
    (void* handle, void* x, void* filter, void* convolution, void* y, int requested, int* found,  \
     ConvolutionPerformance* results))                                                            \
  F(inputAlgorithms, cudnnGetConvolutionBackwardDataAlgorithm_v7,                                 \
    (void* handle, void* filter, void* dy, void* convolution, void* dx, int requested,            \
     int* found, ConvolutionPerformance* results))                                                \
  F(filterAlgorithms, cudnnGetConvolutionBackwardFilterAlgorithm_v7,                              \
    (void* handle, void* x, void* dy, void* convolution, void* d_filter, int requested,           \
     int* found, ConvolutionPerformance* results))                                                \
  F(forward, cudnnConvolutionForward,                                                             \
    (void* handle, const void* alpha, void* x_descriptor, const void* x, void* filter_descriptor, \
     const void* filter, void* convolution, int algorithm, void* workspace,                       \
     size_t workspace_bytes, const void* beta, void* y_descriptor, void* y))                      \
  F(backwardInput, cudnnConvolutionBackwardData,                                                  \
    (void* handle, const void* alpha, void* filter_descriptor, const void* filter,                \
     void* dy_descriptor, const void* dy, void* convolution, int algorithm, void* workspace,      \
     size_t workspace_bytes, const void* beta, void* dx_descriptor, void* dx))                    \
  F(backwardFilter, cudnnConvolutionBackwardFilter,                                               \
    (void* handle, const void* alpha, void* x_descriptor, const void* x, void* dy_descriptor,     \
     const void* dy, void* convolution, int algorithm, void* workspace, size_t workspace_bytes,   \
     const void* beta, void* d_filter_descriptor, void* d_filter))

// libraryPropertyType, nvjpegBackend_t, nvjpegOutputFormat_t, nvjpegStatus_t.
constexpr int kMajorVersion = 0;
constexpr int kMinorVersion = 1;
constexpr int kJpegHybrid = 1;
constexpr int kInterleavedRgb = 5;
constexpr int kJpegInvalidParameter = 2;
constexpr int kJpegBad = 3;
constexpr int kJpegNotSupported = 4;
constexpr int kJpegAllocatorFailure = 5;
constexpr int kJpegInternalError = 8;
constexpr int kJpegImplementationNotSupported = 9;
constexpr int kJpegIncomplete = 10;
// Flags of nvjpegCreateEx: a file that breaks the standard is an error; chroma is interpolated, as libjpeg does.
constexpr unsigned kJpegStrict = 4;
constexpr unsigned kJpegInterpolates = 32;

constexpr int kJpegComponents = 4;

// nvjpegImage_t: where an image's planes are, and the bytes from one row to the next. Interleaved images have one plane.
struct JpegPlanes {
  unsigned char* planes[kJpegComponents];
  size_t pitches[kJpegComponents];
};

#define TWOTOWER_NVJPEG(F)                                                                        \
  F(getProperty, nvjpegGetProperty, (int property, int* value))                                   \
  F(create, nvjpegCreateEx,                                                                       \
    (int backend, void* device_allocator, void* pinned_allocator, unsigned flags, void** handle)) \
  F(destroy, nvjpegDestroy, (void* handle))                                                       \
  F(stateCreate, nvjpegJpegStateCreate, (void* handle, void** state))                             \
  F(stateDestroy, nvjpegJpegStateDestroy, (void* state))                                          \
  F(imageInfo, nvjpegGetImageInfo,                                                                \
    (void* handle, const unsigned char* bytes, size_t length, int* components, int* subsampling,  \
     int* widths, int* heights))                                                                  \
  F(decode, nvjpegDecode,                                                                         \
    (void* handle, void* state, const unsigned char* bytes, size_t length, int format,            \
     JpegPlanes* image, void* stream))

// ncclResult_t, ncclDataType_t, ncclRedOp_t.
constexpr int kNcclInProgress = 7;
constexpr int kNcclFloat32 = 7;
constexpr int kNcclSum = 0;

// ncclUniqueId
struct NcclId {
  char bytes[128];
};

#define TWOTOWER_NCCL(F)                                                                          \
  F(version, ncclGetVersion, (int* version))                                                      \
  F(newId, ncclGetUniqueId, (void* id))                                                           \
  F(join, ncclCommInitRank, (void** group, int ranks, NcclId id, int rank))                       \
  F(abort, ncclCommAbort, (void* group))                                                          \
  F(failure, ncclCommGetAsyncError, (void* group, int* status))                                   \
  F(allReduce, ncclAllReduce,                                                                     \
    (const void* from, void* to, size_t count, int type, int operation, void* group, void* stream))

#define TWOTOWER_FUNCTION(name, symbol, parameters) int(*name) parameters = nullptr;

struct Driver {
  TWOTOWER_DRIVER(TWOTOWER_FUNCTION)
};

struct Nvrtc {
  TWOTOWER_NVRTC(TWOTOWER_FUNCTION)
};

struct CublasLt {
  TWOTOWER_CUBLASLT(TWOTOWER_FUNCTION)
};

struct Cudnn {
  TWOTOWER_CUDNN(TWOTOWER_FUNCTION)
};

struct NvJpeg {
  TWOTOWER_NVJPEG(TWOTOWER_FUNCTION)
};

struct Nccl {
  TWOTOWER_NCCL(TWOTOWER_FUNCTION)
};

#undef TWOTOWER_FUNCTION

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_API_H_
