// Convolutions by cuDNN's calls of before its graphs, which cuDNN 9 still has.
//
// Activations are NHWC as everywhere; filters become KRSC, the layout that cuDNN wants beside NHWC, in scratch memory. In bf16
// the operands are rounded in scratch memory too, and so is the result, which cuDNN gives in its operands' type. The algorithms
// are those that cuDNN's heuristics put first among the deterministic ones.

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "../kernels.h"
#include "device.h"
#include "layer_kernels.h"
#include "libraries.h"
#include "operand.h"

namespace twotower {
namespace cuda {
namespace {

// A descriptor of cuDNN for as long as this exists.
class Descriptor {
 public:
  Descriptor(int (*create)(void**), int (*destroy)(void*)) : destroy_(destroy) {
    CheckCudnn(create(&handle_), "cudnnCreateDescriptor");
  }
  ~Descriptor() { destroy_(handle_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator void*() const { return handle_; }

 private:
  void* handle_ = nullptr;
  int (*destroy_)(void*);
};

int Int(int64_t size) { return static_cast<int>(size); }

// One pass of one convolution: its algorithm, and the descriptor of the convolution with the algorithm's type of arithmetic.
struct Pass {
  Descriptor convolution{TheCudnn().convolutionCreate, TheCudnn().convolutionDestroy};
  int algorithm = 0;
  size_t workspace_bytes = 0;

  // Takes the first algorithm of cuDNN's list that works and is deterministic. Throws std::runtime_error if there is none.
  void Choose(const ConvolutionPerformance* list, int count, const char* pass) {
    const auto* end = list + count;
    const auto* chosen = std::find_if(list, end, [](const ConvolutionPerformance& one) {
      return one.status == 0 && one.determinism == kDeterministic;
    });
    if (chosen == end) {
      throw std::runtime_error(std::string("cuDNN has no deterministic algorithm for the ") + pass +
                               " pass of this convolution");
    }
    algorithm = chosen->algorithm;
    workspace_bytes = chosen->workspace_bytes;
    CheckCudnn(TheCudnn().convolutionSetMath(convolution, chosen->math_type),
               "cudnnSetConvolutionMathType");
  }
};

// More than cuDNN has for any pass.
constexpr int kMostAlgorithms = 16;

// A convolution whose zeros are as many on both sides, as cuDNN wants them.
class Convolution {
 public:
  Convolution(const Geometry& g, Precision precision) {
    const Cudnn& cudnn = TheCudnn();
    const int type = precision == Precision::kBf16 ? kDnnBfloat16 : kDnnFloat32;
    const auto set = [&](void* tensor, const Integers& s) {
      CheckCudnn(cudnn.tensorSet(tensor, kNhwc, type, Int(s[0]), Int(s[3]), Int(s[1]), Int(s[2])),
                 "cudnnSetTensor4dDescriptor");
    };
    set(x_, g.InShape());
    set(y_, g.OutShape());
    CheckCudnn(cudnn.filterSet(filter_, type, kNhwc, Int(g.out_channels), Int(g.in_channels),
                               Int(g.filter_height), Int(g.filter_width)),
               "cudnnSetFilter4dDescriptor");
    const int math = precision == Precision::kFloat32 ? kFmaMath : kTensorOpMath;
    for (Pass* pass : {&forward_, &input_, &filter_pass_}) {
      CheckCudnn(cudnn.convolutionSet(pass->convolution, Int(g.pad_top), Int(g.pad_left),
                                      Int(g.stride_height), Int(g.stride_width),
                                      Int(g.dilation_height), Int(g.dilation_width),
                                      kCrossCorrelation, kDnnFloat32),
                 "cudnnSetConvolution2dDescriptor");
      CheckCudnn(cudnn.convolutionSetMath(pass->convolution, math), "cudnnSetConvolutionMathType");
    }
    ChooseAlgorithms();
  }

  void Forward(const void* x, const void* filter, void* y) const {
    const Scratch workspace(forward_.workspace_bytes);
    CheckCudnn(TheCudnn().forward(Handle(), &kOne, x_, x, filter_, filter, forward_.convolution,
                                  forward_.algorithm, workspace.As<void>(),
                                  forward_.workspace_bytes, &kZero, y_, y),
               "cudnnConvolutionForward");
  }

  void BackwardInput(const void* dy, const void* filter, void* dx) const {
    const Scratch workspace(input_.workspace_bytes);
    CheckCudnn(TheCudnn().backwardInput(Handle(), &kOne, filter_, filter, y_, dy,
                                        input_.convolution, input_.algorithm, workspace.As<void>(),
                                        input_.workspace_bytes, &kZero, x_, dx),
               "cudnnConvolutionBackwardData");
  }

  void BackwardFilter(const void* x, const void* dy, void* d_filter) const {
    const Scratch workspace(filter_pass_.workspace_bytes);
    CheckCudnn(TheCudnn().backwardFilter(Handle(), &kOne, x_, x, y_, dy, filter_pass_.convolution,
                                         filter_pass_.algorithm, workspace.As<void>(),
                                         filter_pass_.workspace_bytes, &kZero, filter_, d_filter),
               "cudnnConvolutionBackwardFilter");
  }

 private:
  static constexpr float kOne = 1;
  static constexpr float kZero = 0;

  static void* Handle() { return Device::OfThread().cudnn(); }

  void ChooseAlgorithms() {
    const Cudnn& cudnn = TheCudnn();
    ConvolutionPerformance list[kMostAlgorithms];
    int count = 0;
    CheckCudnn(cudnn.forwardAlgorithms(Handle(), x_, filter_, forward_.convolution, y_,
                                       kMostAlgorithms, &count, list),
               "cudnnGetConvolutionForwardAlgorithm_v7");
    forward_.Choose(list, count, "forward");
    CheckCudnn(cudnn.inputAlgorithms(Handle(), filter_, y_, input_.convolution, x_,
                                     kMostAlgorithms, &count, list),
               "cudnnGetConvolutionBackwardDataAlgorithm_v7");
    input_.Choose(list, count, "input gradient's");
    CheckCudnn(cudnn.filterAlgorithms(Handle(), x_, y_, filter_pass_.convolution, filter_,
                                      kMostAlgorithms, &count, list),
               "cudnnGetConvolutionBackwardFilterAlgorithm_v7");
    filter_pass_.Choose(list, count, "filter gradient's");
  }

  Descriptor x_{TheCudnn().tensorCreate, TheCudnn().tensorDestroy};
  Descriptor y_{TheCudnn().tensorCreate, TheCudnn().tensorDestroy};
  Descriptor filter_{TheCudnn().filterCreate, TheCudnn().filterDestroy};
  Pass forward_, input_, filter_pass_;
};

const Convolution& ConvolutionFor(const Geometry& g, Precision precision) {
  using Key = std::pair<Integers, Precision>;
  static thread_local std::map<Key, std::unique_ptr<Convolution>> convolutions;
  std::unique_ptr<Convolution>& found = convolutions[{g.Key(), precision}];
  if (!found) found = std::make_unique<Convolution>(g, precision);
  return *found;
}

bool IsSymmetric(int64_t in, int64_t out, int64_t extent, int64_t stride, int64_t pad) {
  const int64_t room = in + 2 * pad - extent;
  return room >= 0 && room / stride + 1 == out;
}

// The convolution of cuDNN that computes `g`. Where g has other zeros below and to the right than above and to the left, that
// is a convolution without zeros of an image in scratch memory that brings them along.
struct Padding {
  explicit Padding(const Geometry& given) : inner(given) {
    const int64_t height = (given.filter_height - 1) * given.dilation_height + 1;
    const int64_t width = (given.filter_width - 1) * given.dilation_width + 1;
    is_needed =
        !IsSymmetric(given.in_height, given.out_height, height, given.stride_height,
                     given.pad_top) ||
        !IsSymmetric(given.in_width, given.out_width, width, given.stride_width, given.pad_left);
    if (!is_needed) return;
    inner.in_height = (given.out_height - 1) * given.stride_height + height;
    inner.in_width = (given.out_width - 1) * given.stride_width + width;
    inner.pad_top = inner.pad_left = 0;
    // What of x lies inside the padded image: rows and columns that the stride never reads do not.
    const int64_t rows = std::min(given.in_height, inner.in_height - given.pad_top);
    const int64_t columns = std::min(given.in_width, inner.in_width - given.pad_left);
    box = Box{given.InShape(),
              {0, 0, 0, 0},
              inner.InShape(),
              {0, given.pad_top, given.pad_left, 0},
              {given.batch, std::max<int64_t>(rows, 0), std::max<int64_t>(columns, 0),
               given.in_channels}};
  }

  // Floats of the scratch memory.
  size_t Length() const { return is_needed ? ProductOf(inner.InShape()) : 0; }

  const float* Pad(const float* x, const Scratch& scratch) const {
    if (!is_needed) return x;
    const Values padded{scratch.As<float>(), Length(), Type::kFloat32};
    Fill(padded, 0);
    if (ProductOf(box.size) > 0) {
      CopyBox(box, {const_cast<float*>(x), ProductOf(box.x_shape), Type::kFloat32}, padded);
    }
    return scratch.As<float>();
  }

  // The part of the padded gradient that is x's.
  void Crop(const float* padded, float* dx) const {
    const Values whole{dx, ProductOf(box.x_shape), Type::kFloat32};
    Fill(whole, 0);
    const Box back{box.out_shape, box.out_start, box.x_shape, box.x_start, box.size};
    if (ProductOf(box.size) > 0) {
      CopyBox(back, {const_cast<float*>(padded), Length(), Type::kFloat32}, whole);
    }
  }

  Geometry inner;
  bool is_needed;
  Box box;
};

// Where cuDNN writes a result: the array itself, or in bf16 scratch memory, from which Finish converts it.
class Result {
 public:
  Result(float* out, const Integers& shape, Precision precision)
      : rounded_(precision == Precision::kBf16 ? BytesOf(ProductOf(shape), precision) : 0),
        out_(out),
        length_(ProductOf(shape)),
        is_bf16_(precision == Precision::kBf16) {}
  operator void*() const { return is_bf16_ ? rounded_.As<void>() : out_; }
  void Finish() const {
    if (is_bf16_) FromBf16(length_, rounded_.As<void>(), out_);
  }

 private:
  Scratch rounded_;
  float* out_;
  size_t length_;
  bool is_bf16_;
};

// A filter as cuDNN's operand.
class Krsc {
 public:
  Krsc(const Geometry& g, const float* hwio, Precision precision)
      : scratch_(BytesOf(ProductOf(g.FilterShape()), precision)) {
    FilterToKrsc(g.filter_height, g.filter_width, g.in_channels, g.out_channels, hwio,
                 scratch_.As<void>(), precision == Precision::kBf16);
  }
  operator const void*() const { return scratch_.As<void>(); }

 private:
  Scratch scratch_;
};

void FillFloats(float* out, size_t length) { Fill({out, length, Type::kFloat32}, 0); }

size_t RowsOf(const Geometry& g) { return ProductOf({g.batch, g.out_height, g.out_width}); }

}  // namespace
}  // namespace cuda

using namespace cuda;

void CheckPrecision(Precision precision) {
  constexpr int kAmpere = 8;
  const Device& device = Device::OfThread();
  if (precision == Precision::kFloat32 || device.capability_major() >= kAmpere) return;
  throw DeviceError("GPU " + std::to_string(device.ordinal()) + " (" + device.name() +
                    ") multiplies neither bf16 nor tf32 numbers; use float32");
}

void Conv2D(const Geometry& g, const float* x, const float* filter, const float* bias, float* out,
            Activation activation, Precision precision) {
  const size_t length = ProductOf(g.OutShape());
  if (length == 0) return;
  if (ProductOf(g.InShape()) == 0) {
    FillFloats(out, length);
  } else {
    const Padding padding(g);
    const Scratch padded(padding.Length() * sizeof(float));
    const Operand images(padding.Pad(x, padded), ProductOf(padding.inner.InShape()), precision);
    const Krsc krsc(g, filter, precision);
    const Result result(out, g.OutShape(), precision);
    ConvolutionFor(padding.inner, precision).Forward(images, krsc, result);
    result.Finish();
  }
  // cuDNN's and cuBLASLt's own ReLU is not relied on to keep NaN.
  const bool relu = activation == Activation::kRelu;
  if (bias != nullptr || relu) AddBias(RowsOf(g), g.out_channels, bias, out, relu);
}

void Conv2DBackpropInput(const Geometry& g, const float* dy, const float* filter, float* dx,
                         Precision precision) {
  const size_t length = ProductOf(g.InShape());
  if (length == 0) return;
  if (ProductOf(g.OutShape()) == 0) return FillFloats(dx, length);
  const Padding padding(g);
  const Scratch padded(padding.Length() * sizeof(float));
  float* whole = padding.is_needed ? padded.As<float>() : dx;
  const Operand gradient(dy, ProductOf(g.OutShape()), precision);
  const Krsc krsc(g, filter, precision);
  const Result result(whole, padding.inner.InShape(), precision);
  ConvolutionFor(padding.inner, precision).BackwardInput(gradient, krsc, result);
  result.Finish();
  if (padding.is_needed) padding.Crop(whole, dx);
}

void Conv2DBackpropFilter(const Geometry& g, const float* x, const float* dy, float* d_filter,
                          float* d_bias, Precision precision) {
  const size_t length = ProductOf(g.FilterShape());
  if (d_bias != nullptr) BiasGradient(RowsOf(g), g.out_channels, dy, d_bias);
  if (length == 0) return;
  if (ProductOf(g.OutShape()) == 0) return FillFloats(d_filter, length);
  const Padding padding(g);
  const Scratch padded(padding.Length() * sizeof(float));
  const Operand images(padding.Pad(x, padded), ProductOf(padding.inner.InShape()), precision);
  const Operand gradient(dy, ProductOf(g.OutShape()), precision);
  const Scratch krsc(BytesOf(ProductOf(g.FilterShape()), precision));
  ConvolutionFor(padding.inner, precision).BackwardFilter(images, gradient, krsc.As<void>());
  FilterFromKrsc(g.filter_height, g.filter_width, g.in_channels, g.out_channels, krsc.As<void>(),
                 precision == Precision::kBf16, d_filter);
}

}  // namespace twotower
