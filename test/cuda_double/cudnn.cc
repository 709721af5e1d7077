// cuDNN's convolutions: handles, descriptors and algorithms. convolution.h computes.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>

#include "call.h"
#include "convolution.h"
#include "gpu.h"
#include "report.h"

namespace cuda_double {
namespace {

namespace cuda = twotower::cuda;

constexpr int kNotReady = 1001;        // CUDNN_STATUS_NOT_INITIALIZED
constexpr int kBadParameter = 2000;    // CUDNN_STATUS_BAD_PARAM
constexpr int kStreamMismatch = 2007;  // CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH
constexpr int kNotSupported = 3000;    // CUDNN_STATUS_NOT_SUPPORTED

void Require(bool is_right, int status = kBadParameter) {
  if (!is_right) throw Status{status};
}

struct Handle {
  int device;
  std::mutex mutex;
  std::shared_ptr<Stream> stream;
};

// Of images, or of filters: `batch` is then the number of filters.
struct Tensor {
  bool is_set = false;
  int type = 0;
  int batch = 0, channels = 0, height = 0, width = 0;

  Format format() const { return type == cuda::kDnnFloat32 ? Format::kFloat32 : Format::kBfloat16; }

  size_t bytes() const {
    return BytesOf(format()) * static_cast<size_t>(batch) * static_cast<size_t>(channels) *
           static_cast<size_t>(height) * static_cast<size_t>(width);
  }
};

struct Filter {
  Tensor tensor;
};

struct Convolution {
  bool is_set = false;
  int pad_height = 0, pad_width = 0, stride_height = 0, stride_width = 0;
  int dilation_height = 0, dilation_width = 0;
  int math_type = 0;
};

template <typename Object>
Handles<Object>& All() {
  static auto& objects = *new Handles<Object>();
  return objects;
}

template <typename Object>
std::shared_ptr<Object> Find(const void* handle) {
  auto found = All<Object>().Find(handle);
  Require(found != nullptr);
  return found;
}

template <typename Object>
void Create(void** handle, std::shared_ptr<Object> object) {
  *handle = All<Object>().Add(std::move(object));
  TheLibraryCounts().cudnn.created++;
}

template <typename Object>
void Destroy(const void* handle) {
  Require(All<Object>().Remove(handle) != nullptr);
  TheLibraryCounts().cudnn.destroyed++;
}

template <typename Body>
int DnnCall(const char* symbol, const Body& body) noexcept {
  return Call(Library::kCudnn, symbol, body);
}

Tensor TensorOf(int format, int type, int batch, int channels, int height, int width) {
  Require(batch > 0 && channels > 0 && height > 0 && width > 0);
  Require(type == cuda::kDnnFloat32 || type == cuda::kDnnBfloat16, kNotSupported);
  Require(format == cuda::kNhwc, kNotSupported);
  return {true, type, batch, channels, height, width};
}

// The shape of a convolution, if its descriptors fit together.
ConvolutionShape ShapeOf(const Tensor& x, const Tensor& filter, const Convolution& convolution,
                         const Tensor& y) {
  Require(x.is_set && filter.is_set && convolution.is_set && y.is_set);
  Require(x.type == y.type && x.type == filter.type);
  Require(x.batch == y.batch && x.channels == filter.channels && y.channels == filter.batch);
  const auto out_size = [](int in, int pad, int size, int dilation, int stride) {
    const int window = (size - 1) * dilation + 1;
    const int room = in + 2 * pad - window;
    return room < 0 ? 0 : room / stride + 1;
  };
  Require(y.height == out_size(x.height, convolution.pad_height, filter.height,
                               convolution.dilation_height, convolution.stride_height));
  Require(y.width == out_size(x.width, convolution.pad_width, filter.width,
                              convolution.dilation_width, convolution.stride_width));
  const auto size = [](int value) { return static_cast<size_t>(value); };
  return {size(x.batch),
          size(x.height),
          size(x.width),
          size(x.channels),
          size(y.height),
          size(y.width),
          size(y.channels),
          size(filter.height),
          size(filter.width),
          size(convolution.pad_height),
          size(convolution.pad_width),
          size(convolution.stride_height),
          size(convolution.stride_width),
          size(convolution.dilation_height),
          size(convolution.dilation_width),
          x.format(),
          // Unless it is told to use plain multiplication, cuDNN takes tensor cores for float32 too.
          convolution.math_type != cuda::kFmaMath};
}

// The algorithms of a pass, in the order in which they are named. The first one's sums have no fixed order, the second one
// is not there for this convolution; the others are right.
struct Algorithms {
  int unordered, missing, first, second;
};
constexpr Algorithms kForward = {4, 3, 1, 0};         // FFT, DIRECT, PRECOMP_GEMM, IMPLICIT_GEMM
constexpr Algorithms kBackwardInput = {0, 2, 1, 3};   // ALGO_0, FFT, ALGO_1, FFT_TILING
constexpr Algorithms kBackwardFilter = {0, 2, 1, 5};  // ALGO_0, FFT, ALGO_1, WINOGRAD_NONFUSED

size_t WorkspaceOf(const Algorithms& algorithms, int algorithm, const ConvolutionShape& shape) {
  if (algorithm == algorithms.first) return 4096 + 64 * shape.window();
  if (algorithm == algorithms.second) return 1024;
  return 512;
}

void ListAlgorithms(const void* handle, const Algorithms& algorithms, const ConvolutionShape& shape,
                    int math_type, int requested, int* found, ConvolutionPerformance* results) {
  Find<Handle>(handle);
  Require(requested > 0 && found != nullptr && results != nullptr);
  const int numbers[] = {algorithms.unordered, algorithms.missing, algorithms.first,
                         algorithms.second};
  *found = std::min(requested, 4);
  for (int i = 0; i < *found; i++) {
    const int algorithm = numbers[i];
    const bool is_missing = algorithm == algorithms.missing;
    results[i] = {algorithm,
                  is_missing ? kNotSupported : 0,
                  is_missing ? -1.f : static_cast<float>(i + 1),
                  is_missing ? 0 : WorkspaceOf(algorithms, algorithm, shape),
                  algorithm == algorithms.unordered ? 0 : cuda::kDeterministic,
                  math_type,
                  {}};
  }
}

// A pass that is about to be enqueued.
struct Pass {
  const void* handle;
  const Algorithms& algorithms;
  int algorithm;
  void* workspace;
  size_t workspace_bytes;
};

struct Operand {
  const void* address;
  size_t bytes;
};

template <typename Work>
void Enqueue(const Pass& pass, const ConvolutionShape& shape,
             std::initializer_list<Operand> operands, const Work& work) {
  const auto handle = Find<Handle>(pass.handle);
  Gpu& gpu = CurrentGpu();
  Require(handle->device == gpu.ordinal);
  Require(pass.algorithm == pass.algorithms.first || pass.algorithm == pass.algorithms.second,
          kNotSupported);
  const size_t needed = WorkspaceOf(pass.algorithms, pass.algorithm, shape);
  Require(pass.workspace_bytes >= needed);
  CheckAccess(gpu, pass.workspace, pass.workspace_bytes, "the workspace of a convolution");
  for (const Operand& operand : operands) {
    CheckAccess(gpu, operand.address, operand.bytes, "an operand of a convolution");
  }
  std::lock_guard<std::mutex> lock(handle->mutex);
  // The default stream, which the double does not have.
  Require(handle->stream != nullptr, kNotSupported);
  handle->stream->Enqueue([=, workspace = pass.workspace] {
    // Whatever else is there is lost, as it would be.
    std::memset(workspace, 0xff, needed);
    work();
  });
}

Output OutputOf(void* to, Format format, const void* alpha, const void* beta) {
  Require(alpha != nullptr && beta != nullptr);
  return {to, format, *static_cast<const float*>(alpha), *static_cast<const float*>(beta)};
}

}  // namespace

int cudnnCreate(void** handle) {
  return DnnCall(__func__, [&] {
    try {
      auto created = std::make_shared<Handle>();
      created->device = CurrentGpu().ordinal;
      Create(handle, std::move(created));
    } catch (const DriverStatus&) {
      throw Status{kNotReady};
    }
  });
}

int cudnnDestroy(void* handle) {
  return DnnCall(__func__, [&] { Destroy<Handle>(handle); });
}

int cudnnSetStream(void* handle, void* stream) {
  return DnnCall(__func__, [&] {
    const auto changed = Find<Handle>(handle);
    auto target = StreamOf(stream);
    Require(target->device == changed->device, kStreamMismatch);
    std::lock_guard<std::mutex> lock(changed->mutex);
    changed->stream = std::move(target);
  });
}

int cudnnCreateTensorDescriptor(void** descriptor) {
  return DnnCall(__func__, [&] { Create(descriptor, std::make_shared<Tensor>()); });
}

int cudnnDestroyTensorDescriptor(void* descriptor) {
  return DnnCall(__func__, [&] { Destroy<Tensor>(descriptor); });
}

int cudnnSetTensor4dDescriptor(void* descriptor, int format, int type, int batch, int channels,
                               int height, int width) {
  return DnnCall(__func__, [&] {
    *Find<Tensor>(descriptor) = TensorOf(format, type, batch, channels, height, width);
  });
}

int cudnnCreateFilterDescriptor(void** descriptor) {
  return DnnCall(__func__, [&] { Create(descriptor, std::make_shared<Filter>()); });
}

int cudnnDestroyFilterDescriptor(void* descriptor) {
  return DnnCall(__func__, [&] { Destroy<Filter>(descriptor); });
}

int cudnnSetFilter4dDescriptor(void* descriptor, int type, int format, int out_channels,
                               int in_channels, int height, int width) {
  return DnnCall(__func__, [&] {
    Find<Filter>(descriptor)->tensor =
        TensorOf(format, type, out_channels, in_channels, height, width);
  });
}

int cudnnCreateConvolutionDescriptor(void** descriptor) {
  return DnnCall(__func__, [&] { Create(descriptor, std::make_shared<Convolution>()); });
}

int cudnnDestroyConvolutionDescriptor(void* descriptor) {
  return DnnCall(__func__, [&] { Destroy<Convolution>(descriptor); });
}

int cudnnSetConvolution2dDescriptor(void* descriptor, int pad_height, int pad_width,
                                    int stride_height, int stride_width, int dilation_height,
                                    int dilation_width, int mode, int compute_type) {
  return DnnCall(__func__, [&] {
    const auto changed = Find<Convolution>(descriptor);
    Require(pad_height >= 0 && pad_width >= 0 && stride_height > 0 && stride_width > 0);
    Require(dilation_height > 0 && dilation_width > 0);
    Require(mode == cuda::kCrossCorrelation && compute_type == cuda::kDnnFloat32, kNotSupported);
    *changed = {true,         pad_height,      pad_width,      stride_height,
                stride_width, dilation_height, dilation_width, 0};
  });
}

int cudnnSetConvolutionMathType(void* descriptor, int math_type) {
  return DnnCall(__func__, [&] {
    Require(math_type >= 0 && math_type <= cuda::kFmaMath);
    Find<Convolution>(descriptor)->math_type = math_type;
  });
}

int cudnnGetConvolutionForwardAlgorithm_v7(void* handle, void* x, void* filter, void* convolution,
                                           void* y, int requested, int* found,
                                           ConvolutionPerformance* results) {
  return DnnCall(__func__, [&] {
    const auto convolved = Find<Convolution>(convolution);
    const auto shape =
        ShapeOf(*Find<Tensor>(x), Find<Filter>(filter)->tensor, *convolved, *Find<Tensor>(y));
    ListAlgorithms(handle, kForward, shape, convolved->math_type, requested, found, results);
  });
}

int cudnnGetConvolutionBackwardDataAlgorithm_v7(void* handle, void* filter, void* dy,
                                                void* convolution, void* dx, int requested,
                                                int* found, ConvolutionPerformance* results) {
  return DnnCall(__func__, [&] {
    const auto convolved = Find<Convolution>(convolution);
    const auto shape =
        ShapeOf(*Find<Tensor>(dx), Find<Filter>(filter)->tensor, *convolved, *Find<Tensor>(dy));
    ListAlgorithms(handle, kBackwardInput, shape, convolved->math_type, requested, found, results);
  });
}

int cudnnGetConvolutionBackwardFilterAlgorithm_v7(void* handle, void* x, void* dy,
                                                  void* convolution, void* d_filter, int requested,
                                                  int* found, ConvolutionPerformance* results) {
  return DnnCall(__func__, [&] {
    const auto convolved = Find<Convolution>(convolution);
    const auto shape =
        ShapeOf(*Find<Tensor>(x), Find<Filter>(d_filter)->tensor, *convolved, *Find<Tensor>(dy));
    ListAlgorithms(handle, kBackwardFilter, shape, convolved->math_type, requested, found, results);
  });
}

int cudnnConvolutionForward(void* handle, const void* alpha, void* x_descriptor, const void* x,
                            void* filter_descriptor, const void* filter, void* convolution,
                            int algorithm, void* workspace, size_t workspace_bytes,
                            const void* beta, void* y_descriptor, void* y) {
  return DnnCall(__func__, [&] {
    const Tensor in = *Find<Tensor>(x_descriptor), out = *Find<Tensor>(y_descriptor);
    const Tensor filters = Find<Filter>(filter_descriptor)->tensor;
    const auto shape = ShapeOf(in, filters, *Find<Convolution>(convolution), out);
    const Output output = OutputOf(y, out.format(), alpha, beta);
    Enqueue({handle, kForward, algorithm, workspace, workspace_bytes}, shape,
            {{x, in.bytes()}, {filter, filters.bytes()}, {y, out.bytes()}},
            [=] { Forward(shape, x, filter, output); });
  });
}

int cudnnConvolutionBackwardData(void* handle, const void* alpha, void* filter_descriptor,
                                 const void* filter, void* dy_descriptor, const void* dy,
                                 void* convolution, int algorithm, void* workspace,
                                 size_t workspace_bytes, const void* beta, void* dx_descriptor,
                                 void* dx) {
  return DnnCall(__func__, [&] {
    const Tensor in = *Find<Tensor>(dx_descriptor), out = *Find<Tensor>(dy_descriptor);
    const Tensor filters = Find<Filter>(filter_descriptor)->tensor;
    const auto shape = ShapeOf(in, filters, *Find<Convolution>(convolution), out);
    const Output output = OutputOf(dx, in.format(), alpha, beta);
    Enqueue({handle, kBackwardInput, algorithm, workspace, workspace_bytes}, shape,
            {{dx, in.bytes()}, {filter, filters.bytes()}, {dy, out.bytes()}},
            [=] { BackwardInput(shape, filter, dy, output); });
  });
}

int cudnnConvolutionBackwardFilter(void* handle, const void* alpha, void* x_descriptor,
                                   const void* x, void* dy_descriptor, const void* dy,
                                   void* convolution, int algorithm, void* workspace,
                                   size_t workspace_bytes, const void* beta,
                                   void* d_filter_descriptor, void* d_filter) {
  return DnnCall(__func__, [&] {
    const Tensor in = *Find<Tensor>(x_descriptor), out = *Find<Tensor>(dy_descriptor);
    const Tensor filters = Find<Filter>(d_filter_descriptor)->tensor;
    const auto shape = ShapeOf(in, filters, *Find<Convolution>(convolution), out);
    const Output output = OutputOf(d_filter, filters.format(), alpha, beta);
    Enqueue({handle, kBackwardFilter, algorithm, workspace, workspace_bytes}, shape,
            {{x, in.bytes()}, {d_filter, filters.bytes()}, {dy, out.bytes()}},
            [=] { BackwardFilter(shape, x, dy, output); });
  });
}

}  // namespace cuda_double
