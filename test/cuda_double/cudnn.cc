// cuDNN: convolutions of NHWC images with KRSC filters, by their definition.

#include <cstring>

#include "call.h"
#include "gpu.h"
#include "operands.h"

namespace cuda_double {
namespace {

using namespace twotower::cuda;

constexpr int kBadParameter = 2000;  // CUDNN_STATUS_BAD_PARAM
constexpr int kNotSupported = 3000;  // CUDNN_STATUS_NOT_SUPPORTED

// The deterministic algorithm of each pass, and what it wants.
constexpr int kAlgorithm = 1;
constexpr size_t kAlgorithmWorkspace = 1024;

struct Handle {
  int device;
  void* stream = nullptr;
};

// [batch, height, width, channels], or of a filter [out channels, height, width, in channels].
struct Tensor {
  int type, batch, channels, height, width;

  bool is_bf16() const { return type == kDnnBfloat16; }
  size_t length() const { return size_t(batch) * channels * height * width; }
};

struct Filter : Tensor {};

struct Convolution {
  int pad_height, pad_width, stride_height, stride_width, dilation_height, dilation_width;
  int math = 0;
};

template <typename Object>
Handles<Object>& All() {
  static auto& all = *new Handles<Object>();
  return all;
}

template <typename Object>
std::shared_ptr<Object> Find(const void* handle) {
  auto found = All<Object>().Find(handle);
  if (found == nullptr) throw Status{kBadParameter};
  return found;
}

template <typename Body>
int CallDnn(const char* symbol, const Body& body) {
  return Call(Library::kCudnn, symbol, body);
}

template <typename Object>
int Create(const char* symbol, void** descriptor) {
  return CallDnn(symbol, [&] {
    *descriptor = All<Object>().Add(std::make_shared<Object>());
    CountOf("cudnnDescriptor").created++;
  });
}

template <typename Object>
int Destroy(const char* symbol, void* descriptor) {
  return CallDnn(symbol, [&] {
    if (All<Object>().Remove(descriptor) == nullptr) throw Status{kBadParameter};
    CountOf("cudnnDescriptor").destroyed++;
  });
}

void Set(Tensor& tensor, int format, int type, int batch, int channels, int height, int width) {
  const bool is_known = type == kDnnFloat32 || type == kDnnBfloat16;
  if (!is_known || format != kNhwc || batch < 1 || channels < 1 || height < 1 || width < 1) {
    throw Status{kBadParameter};
  }
  tensor.type = type;
  tensor.batch = batch;
  tensor.channels = channels;
  tensor.height = height;
  tensor.width = width;
}

int OutputSize(int in, int filter, int pad, int stride, int dilation) {
  return (in + 2 * pad - (filter - 1) * dilation - 1) / stride + 1;
}

// A pass of a convolution whose sizes agree.
struct Pass {
  Tensor x, y;
  Filter filter;
  Convolution c;

  Pass(void* x_descriptor, void* filter_descriptor, void* convolution, void* y_descriptor)
      : x(*Find<Tensor>(x_descriptor)),
        y(*Find<Tensor>(y_descriptor)),
        filter(*Find<Filter>(filter_descriptor)),
        c(*Find<Convolution>(convolution)) {
    const bool fit =
        x.batch == y.batch && x.channels == filter.channels && y.channels == filter.batch &&
        x.type == y.type && x.type == filter.type &&
        y.height == OutputSize(x.height, filter.height, c.pad_height, c.stride_height,
                               c.dilation_height) &&
        y.width == OutputSize(x.width, filter.width, c.pad_width, c.stride_width, c.dilation_width);
    if (!fit) throw Status{kBadParameter};
    const int wanted = x.is_bf16() ? kTensorOpMath : c.math;
    if (c.math != wanted || (c.math != kFmaMath && c.math != kTensorOpMath)) {
      throw Status{kNotSupported};
    }
  }

  // Calls `body(x's, y's and the filter's index of the first channel)` for each product of two rows of channels. The filter's
  // index is that of its first kernel.
  template <typename Body>
  void ForEachTap(const Body& body) const {
    for (int n = 0; n < y.batch; n++) {
      for (int row = 0; row < y.height; row++) {
        for (int column = 0; column < y.width; column++) {
          const size_t out = ((size_t(n) * y.height + row) * y.width + column) * y.channels;
          ForEachTapOf(n, row, column, [&](size_t in, size_t tap) { body(in, out, tap); });
        }
      }
    }
  }

  size_t kernel() const { return size_t(filter.height) * filter.width * filter.channels; }

 private:
  template <typename Body>
  void ForEachTapOf(int n, int row, int column, const Body& body) const {
    for (int r = 0; r < filter.height; r++) {
      const int in_row = row * c.stride_height - c.pad_height + r * c.dilation_height;
      if (in_row < 0 || in_row >= x.height) continue;
      for (int s = 0; s < filter.width; s++) {
        const int in_column = column * c.stride_width - c.pad_width + s * c.dilation_width;
        if (in_column < 0 || in_column >= x.width) continue;
        body(((size_t(n) * x.height + in_row) * x.width + in_column) * x.channels,
             (size_t(r) * filter.width + s) * filter.channels);
      }
    }
  }
};

std::vector<float> Forward(const Pass& p, const std::vector<float>& x, const std::vector<float>& w) {
  std::vector<float> y(p.y.length());
  p.ForEachTap([&](size_t in, size_t out, size_t tap) {
    for (int k = 0; k < p.filter.batch; k++) {
      const float* kernel = w.data() + k * p.kernel() + tap;
      float sum = 0;
      for (int i = 0; i < p.x.channels; i++) sum += x[in + i] * kernel[i];
      y[out + k] += sum;
    }
  });
  return y;
}

std::vector<float> BackwardInput(const Pass& p, const std::vector<float>& dy,
                                 const std::vector<float>& w) {
  std::vector<float> dx(p.x.length());
  p.ForEachTap([&](size_t in, size_t out, size_t tap) {
    for (int k = 0; k < p.filter.batch; k++) {
      const float* kernel = w.data() + k * p.kernel() + tap;
      const float gradient = dy[out + k];
      for (int i = 0; i < p.x.channels; i++) dx[in + i] += gradient * kernel[i];
    }
  });
  return dx;
}

std::vector<float> BackwardFilter(const Pass& p, const std::vector<float>& x,
                                  const std::vector<float>& dy) {
  std::vector<float> dw(p.filter.length());
  p.ForEachTap([&](size_t in, size_t out, size_t tap) {
    for (int k = 0; k < p.filter.batch; k++) {
      float* kernel = dw.data() + k * p.kernel() + tap;
      const float gradient = dy[out + k];
      for (int i = 0; i < p.x.channels; i++) kernel[i] += gradient * x[in + i];
    }
  });
  return dw;
}

// First one that is not deterministic, then one that does not work.
void ListAlgorithms(const Pass& pass, int requested, int* found, ConvolutionPerformance* results) {
  const int math = pass.c.math;
  const ConvolutionPerformance list[] = {{0, 0, 0.1f, 0, 0, math, {}},
                                         {4, kNotSupported, -1, 0, 1, math, {}},
                                         {kAlgorithm, 0, 0.2f, kAlgorithmWorkspace, 1, math, {}}};
  *found = requested < 3 ? requested : 3;
  for (int i = 0; i < *found; i++) results[i] = list[i];
}

// Enqueues a pass that makes `out` of two operands.
template <typename Compute>
void Enqueue(void* handle, const Pass& pass, int algorithm, void* workspace, size_t workspace_bytes,
             const void* alpha, const void* beta, const Tensor& one, const void* first,
             const Tensor& other, const void* second, const Tensor& result, void* out,
             const Compute& compute) {
  const auto of = Find<Handle>(handle);
  if (algorithm != kAlgorithm || workspace_bytes < kAlgorithmWorkspace) throw Status{kBadParameter};
  Gpu& gpu = GpuOf(of->device);
  CheckAccess(gpu, workspace, workspace_bytes, "the workspace of a convolution");
  CheckAccess(gpu, first, BytesOf(one.length(), one.is_bf16()), "an operand of a convolution");
  CheckAccess(gpu, second, BytesOf(other.length(), other.is_bf16()), "an operand of a convolution");
  CheckAccess(gpu, out, BytesOf(result.length(), result.is_bf16()), "the result of a convolution");
  const float by = *static_cast<const float*>(alpha);
  const float kept = *static_cast<const float*>(beta);
  StreamOf(of->stream)->Enqueue([=] {
    std::memset(workspace, 0xff, workspace_bytes);
    const auto values = compute(pass, Load(first, one.length(), one.is_bf16()),
                                Load(second, other.length(), other.is_bf16()));
    Store(values, by, kept, result.is_bf16(), out);
  });
}

}  // namespace

int cudnnCreate(void** handle) {
  return CallDnn("cudnnCreate", [&] {
    *handle = All<Handle>().Add(std::make_shared<Handle>(Handle{CurrentGpu().ordinal}));
    CountOf("cudnnHandle").created++;
  });
}

int cudnnDestroy(void* handle) {
  return CallDnn("cudnnDestroy", [&] {
    if (All<Handle>().Remove(handle) == nullptr) throw Status{kBadParameter};
    CountOf("cudnnHandle").destroyed++;
  });
}

int cudnnSetStream(void* handle, void* stream) {
  return CallDnn("cudnnSetStream", [&] {
    const auto of = Find<Handle>(handle);
    if (StreamOf(stream)->device != of->device) throw Status{kBadParameter};
    of->stream = stream;
  });
}

int cudnnCreateTensorDescriptor(void** descriptor) {
  return Create<Tensor>("cudnnCreateTensorDescriptor", descriptor);
}
int cudnnDestroyTensorDescriptor(void* descriptor) {
  return Destroy<Tensor>("cudnnDestroyTensorDescriptor", descriptor);
}
int cudnnCreateFilterDescriptor(void** descriptor) {
  return Create<Filter>("cudnnCreateFilterDescriptor", descriptor);
}
int cudnnDestroyFilterDescriptor(void* descriptor) {
  return Destroy<Filter>("cudnnDestroyFilterDescriptor", descriptor);
}
int cudnnCreateConvolutionDescriptor(void** descriptor) {
  return Create<Convolution>("cudnnCreateConvolutionDescriptor", descriptor);
}
int cudnnDestroyConvolutionDescriptor(void* descriptor) {
  return Destroy<Convolution>("cudnnDestroyConvolutionDescriptor", descriptor);
}

int cudnnSetTensor4dDescriptor(void* descriptor, int format, int type, int batch, int channels,
                               int height, int width) {
  return CallDnn("cudnnSetTensor4dDescriptor", [&] {
    Set(*Find<Tensor>(descriptor), format, type, batch, channels, height, width);
  });
}

int cudnnSetFilter4dDescriptor(void* descriptor, int type, int format, int out_channels,
                               int in_channels, int height, int width) {
  return CallDnn("cudnnSetFilter4dDescriptor", [&] {
    Set(*Find<Filter>(descriptor), format, type, out_channels, in_channels, height, width);
  });
}

int cudnnSetConvolution2dDescriptor(void* descriptor, int pad_height, int pad_width,
                                    int stride_height, int stride_width, int dilation_height,
                                    int dilation_width, int mode, int compute_type) {
  return CallDnn("cudnnSetConvolution2dDescriptor", [&] {
    if (mode != kCrossCorrelation || compute_type != kDnnFloat32) throw Status{kNotSupported};
    *Find<Convolution>(descriptor) = {pad_height,      pad_width,      stride_height, stride_width,
                                      dilation_height, dilation_width, 0};
  });
}

int cudnnSetConvolutionMathType(void* descriptor, int math_type) {
  return CallDnn("cudnnSetConvolutionMathType",
                 [&] { Find<Convolution>(descriptor)->math = math_type; });
}

int cudnnGetConvolutionForwardAlgorithm_v7(void* handle, void* x, void* filter, void* convolution,
                                           void* y, int requested, int* found,
                                           ConvolutionPerformance* results) {
  return CallDnn("cudnnGetConvolutionForwardAlgorithm_v7", [&] {
    Find<Handle>(handle);
    ListAlgorithms(Pass(x, filter, convolution, y), requested, found, results);
  });
}

int cudnnGetConvolutionBackwardDataAlgorithm_v7(void* handle, void* filter, void* dy,
                                                void* convolution, void* dx, int requested,
                                                int* found, ConvolutionPerformance* results) {
  return CallDnn("cudnnGetConvolutionBackwardDataAlgorithm_v7", [&] {
    Find<Handle>(handle);
    ListAlgorithms(Pass(dx, filter, convolution, dy), requested, found, results);
  });
}

int cudnnGetConvolutionBackwardFilterAlgorithm_v7(void* handle, void* x, void* dy,
                                                  void* convolution, void* d_filter, int requested,
                                                  int* found, ConvolutionPerformance* results) {
  return CallDnn("cudnnGetConvolutionBackwardFilterAlgorithm_v7", [&] {
    Find<Handle>(handle);
    ListAlgorithms(Pass(x, d_filter, convolution, dy), requested, found, results);
  });
}

int cudnnConvolutionForward(void* handle, const void* alpha, void* x_descriptor, const void* x,
                            void* filter_descriptor, const void* filter, void* convolution,
                            int algorithm, void* workspace, size_t workspace_bytes, const void* beta,
                            void* y_descriptor, void* y) {
  return CallDnn("cudnnConvolutionForward", [&] {
    const Pass pass(x_descriptor, filter_descriptor, convolution, y_descriptor);
    Enqueue(handle, pass, algorithm, workspace, workspace_bytes, alpha, beta, pass.x, x, pass.filter,
            filter, pass.y, y, Forward);
  });
}

int cudnnConvolutionBackwardData(void* handle, const void* alpha, void* filter_descriptor,
                                 const void* filter, void* dy_descriptor, const void* dy,
                                 void* convolution, int algorithm, void* workspace,
                                 size_t workspace_bytes, const void* beta, void* dx_descriptor,
                                 void* dx) {
  return CallDnn("cudnnConvolutionBackwardData", [&] {
    const Pass pass(dx_descriptor, filter_descriptor, convolution, dy_descriptor);
    Enqueue(handle, pass, algorithm, workspace, workspace_bytes, alpha, beta, pass.y, dy,
            pass.filter, filter, pass.x, dx, BackwardInput);
  });
}

int cudnnConvolutionBackwardFilter(void* handle, const void* alpha, void* x_descriptor,
                                   const void* x, void* dy_descriptor, const void* dy,
                                   void* convolution, int algorithm, void* workspace,
                                   size_t workspace_bytes, const void* beta,
                                   void* d_filter_descriptor, void* d_filter) {
  return CallDnn("cudnnConvolutionBackwardFilter", [&] {
    const Pass pass(x_descriptor, d_filter_descriptor, convolution, dy_descriptor);
    Enqueue(handle, pass, algorithm, workspace, workspace_bytes, alpha, beta, pass.x, x, pass.y, dy,
            pass.filter, d_filter, BackwardFilter);
  });
}

}  // namespace cuda_double
