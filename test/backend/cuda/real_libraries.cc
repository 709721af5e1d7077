// Checks native/cuda with NVIDIA's real libraries, which needs no GPU: compiles the kernels for every architecture that is named,
// and makes the descriptors of cuDNN and cuBLASLt that a convolution and a product need.
//
//     real_libraries KERNELS_FILE NVRTC CUBLASLT CUDNN 75 80 …

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "../../../native/cuda/api.h"

namespace {

using namespace twotower::cuda;

void* Opened(const char* file) {
  void* library = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
  if (library != nullptr) return library;
  std::fprintf(stderr, "%s\n", dlerror());
  std::exit(1);
}

void Check(int status, const char* what) {
  if (status == 0) return;
  std::fprintf(stderr, "%s: status %d\n", what, status);
  std::exit(1);
}

#define TWOTOWER_LOAD(name, symbol, parameters)                                  \
  functions.name = reinterpret_cast<decltype(functions.name)>(dlsym(library, #symbol)); \
  Check(functions.name == nullptr, "no function " #symbol);

Nvrtc NvrtcOf(void* library) {
  Nvrtc functions;
  TWOTOWER_NVRTC(TWOTOWER_LOAD)
  return functions;
}

CublasLt CublasLtOf(void* library) {
  CublasLt functions;
  TWOTOWER_CUBLASLT(TWOTOWER_LOAD)
  return functions;
}

Cudnn CudnnOf(void* library) {
  Cudnn functions;
  TWOTOWER_CUDNN(TWOTOWER_LOAD)
  return functions;
}

void CompileKernels(const Nvrtc& nvrtc, const std::string& source, const std::string& architecture) {
  void* program = nullptr;
  Check(nvrtc.createProgram(&program, source.c_str(), "twotower.cu", 0, nullptr, nullptr),
        "nvrtcCreateProgram");
  const std::string target = "--gpu-architecture=sm_" + architecture;
  const char* options[] = {target.c_str(), "--std=c++17"};
  const int status = nvrtc.compileProgram(program, 2, options);
  size_t bytes = 0;
  if (status != 0) {
    nvrtc.getLogSize(program, &bytes);
    std::string log(bytes, '\0');
    nvrtc.getLog(program, log.data());
    std::fprintf(stderr, "%s\n", log.c_str());
  }
  Check(status, "nvrtcCompileProgram");
  Check(nvrtc.getCubinSize(program, &bytes), "nvrtcGetCUBINSize");
  Check(nvrtc.destroyProgram(&program), "nvrtcDestroyProgram");
  std::printf("kernels for sm_%s: %zu bytes\n", architecture.c_str(), bytes);
}

// conv2 of the paper's network, and its dilation and stride as the addon sets them.
void MakeConvolution(const Cudnn& cudnn, int type, int math) {
  void *x, *y, *filter, *convolution;
  Check(cudnn.tensorCreate(&x), "cudnnCreateTensorDescriptor");
  Check(cudnn.tensorCreate(&y), "cudnnCreateTensorDescriptor");
  Check(cudnn.filterCreate(&filter), "cudnnCreateFilterDescriptor");
  Check(cudnn.convolutionCreate(&convolution), "cudnnCreateConvolutionDescriptor");
  Check(cudnn.tensorSet(x, kNhwc, type, 128, 48, 27, 27), "cudnnSetTensor4dDescriptor");
  Check(cudnn.tensorSet(y, kNhwc, type, 128, 128, 27, 27), "cudnnSetTensor4dDescriptor");
  Check(cudnn.filterSet(filter, type, kNhwc, 128, 48, 5, 5), "cudnnSetFilter4dDescriptor");
  Check(cudnn.convolutionSet(convolution, 2, 2, 1, 1, 1, 1, kCrossCorrelation, kDnnFloat32),
        "cudnnSetConvolution2dDescriptor");
  Check(cudnn.convolutionSetMath(convolution, math), "cudnnSetConvolutionMathType");
  Check(cudnn.convolutionDestroy(convolution), "cudnnDestroyConvolutionDescriptor");
  Check(cudnn.filterDestroy(filter), "cudnnDestroyFilterDescriptor");
  Check(cudnn.tensorDestroy(y), "cudnnDestroyTensorDescriptor");
  Check(cudnn.tensorDestroy(x), "cudnnDestroyTensorDescriptor");
}

void MakeProduct(const CublasLt& lt, int type, int compute_type) {
  void *layout, *descriptor, *preference;
  const int32_t batch = 2;
  const int64_t offset = 4096 * 128;
  const size_t workspace = 32 << 20;
  Check(lt.layoutCreate(&layout, type, 4096, 128, 4096), "cublasLtMatrixLayoutCreate");
  Check(lt.layoutSet(layout, kLayoutBatchCount, &batch, sizeof(batch)),
        "cublasLtMatrixLayoutSetAttribute");
  Check(lt.layoutSet(layout, kLayoutBatchOffset, &offset, sizeof(offset)),
        "cublasLtMatrixLayoutSetAttribute");
  Check(lt.matmulDescriptorCreate(&descriptor, compute_type, kCudaFloat32),
        "cublasLtMatmulDescCreate");
  for (const int attribute : {kMatmulTransA, kMatmulTransB}) {
    Check(lt.matmulDescriptorSet(descriptor, attribute, &kTransposed, sizeof(kTransposed)),
          "cublasLtMatmulDescSetAttribute");
  }
  Check(lt.preferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  Check(lt.preferenceSet(preference, kPreferenceMaxWorkspaceBytes, &workspace, sizeof(workspace)),
        "cublasLtMatmulPreferenceSetAttribute");
  Check(lt.preferenceDestroy(preference), "cublasLtMatmulPreferenceDestroy");
  Check(lt.matmulDescriptorDestroy(descriptor), "cublasLtMatmulDescDestroy");
  Check(lt.layoutDestroy(layout), "cublasLtMatrixLayoutDestroy");
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 6) return 2;
  std::ifstream file(arguments[1]);
  std::stringstream source;
  source << file.rdbuf();
  const Nvrtc nvrtc = NvrtcOf(Opened(arguments[2]));
  for (int i = 5; i < count; i++) CompileKernels(nvrtc, source.str(), arguments[i]);
  const CublasLt lt = CublasLtOf(Opened(arguments[3]));
  MakeProduct(lt, kCudaFloat32, kComputeFloat32);
  MakeProduct(lt, kCudaFloat32, kComputeTf32);
  MakeProduct(lt, kCudaBfloat16, kComputeFloat32);
  std::printf("descriptors of cuBLASLt\n");
  const Cudnn cudnn = CudnnOf(Opened(arguments[4]));
  MakeConvolution(cudnn, kDnnFloat32, kFmaMath);
  MakeConvolution(cudnn, kDnnFloat32, kTensorOpMath);
  MakeConvolution(cudnn, kDnnBfloat16, kTensorOpMath);
  std::printf("descriptors of cuDNN\n");
  return 0;
}
