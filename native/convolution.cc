// Convolution and its gradients, by oneDNN. Activations stay [batch, height, width, channels] in memory; filters are
// reordered at each call, which costs less than a hundredth of the product.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "engine.h"
#include "geometry.h"
#include "kernels.h"
#include "numbers.h"
#include "parallel.h"
#include "space_to_depth.h"

namespace twotower {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using DataType = memory::data_type;

// A convolution as oneDNN describes it: dimensions are batch, channels, height, width, whatever their order in memory.
struct Description {
  memory::dims filter_sizes;
  memory::desc x, filter, y, bias;
  memory::desc wanted_x, wanted_filter, wanted_y, wanted_out, wanted_dx;
  memory::dims strides, dilations, pad_before, pad_after;
  dnnl::algorithm algorithm;

  Description(const Geometry& g, DataType operands, bool winograd) {
    const memory::dims x_sizes{g.batch, g.in_channels, g.in_height, g.in_width};
    const memory::dims y_sizes{g.batch, g.out_channels, g.out_height, g.out_width};
    filter_sizes = {g.out_channels, g.in_channels, g.filter_height, g.filter_width};
    x = memory::desc(x_sizes, DataType::f32, Tag::nhwc);
    y = memory::desc(y_sizes, DataType::f32, Tag::nhwc);
    filter = memory::desc(filter_sizes, DataType::f32, Tag::hwio);
    bias = memory::desc({g.out_channels}, DataType::f32, Tag::x);
    // Winograd's algorithm has layouts of its own; it saves many times the cost of their reorders.
    algorithm = winograd ? dnnl::algorithm::convolution_winograd
                         : dnnl::algorithm::convolution_direct;
    wanted_x = memory::desc(x_sizes, operands, winograd ? Tag::any : Tag::nhwc);
    wanted_y = memory::desc(y_sizes, operands, winograd ? Tag::any : Tag::nhwc);
    // The result of a convolution and the gradient by its input are float32, whatever the operands' type.
    wanted_out = memory::desc(y_sizes, DataType::f32, winograd ? Tag::any : Tag::nhwc);
    wanted_dx = memory::desc(x_sizes, DataType::f32, winograd ? Tag::any : Tag::nhwc);
    wanted_filter = memory::desc(filter_sizes, operands, Tag::any);
    strides = {g.stride_height, g.stride_width};
    // oneDNN counts the gaps between the filter's elements.
    dilations = {g.dilation_height - 1, g.dilation_width - 1};
    pad_before = {g.pad_top, g.pad_left};
    pad_after = {g.PadBottom(), g.PadRight()};
  }

  dnnl::convolution_forward::primitive_desc Forward(const memory::desc& out,
                                                    const memory::desc& wanted_bias,
                                                    bool relu) const {
    return Describe<dnnl::convolution_forward>(
        AttributesOf(relu), dnnl::prop_kind::forward_training,
        algorithm, wanted_x, wanted_filter, wanted_bias, out, strides, dilations, pad_before,
        pad_after);
  }
};

// Whether the gradient by the input is itself a convolution of dy, of stride 1, by the filter rotated by 180°. In this
// layout oneDNN's forward kernels are then the faster ones.
bool IsConvolutionOfGradient(const Geometry& g) {
  return g.stride_height == 1 && g.stride_width == 1 &&
         std::max(g.pad_top, g.PadBottom()) <= (g.filter_height - 1) * g.dilation_height &&
         std::max(g.pad_left, g.PadRight()) <= (g.filter_width - 1) * g.dilation_width;
}

// Geometry of that convolution, from dy to dx.
Geometry GradientGeometry(const Geometry& g) {
  Geometry of_gradient = g;
  std::swap(of_gradient.in_height, of_gradient.out_height);
  std::swap(of_gradient.in_width, of_gradient.out_width);
  std::swap(of_gradient.in_channels, of_gradient.out_channels);
  of_gradient.pad_top = (g.filter_height - 1) * g.dilation_height - g.pad_top;
  of_gradient.pad_left = (g.filter_width - 1) * g.dilation_width - g.pad_left;
  return of_gradient;
}

// Rotates a filter by 180°: [height, width, in, out] to [height, width, out, in], rows and columns reversed.
void TurnFilter(const Geometry& g, const float* filter, float* turned) {
  const int64_t taps = g.filter_height * g.filter_width;
  const int64_t in = g.in_channels;
  const int64_t out = g.out_channels;
  constexpr int64_t kTile = 16;
  const int64_t tiles = (out + kTile - 1) / kTile;
  Parallel(taps * tiles, 4 * in * std::min(out, kTile), [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const int64_t tap = static_cast<int64_t>(item) / tiles;
      const int64_t first = static_cast<int64_t>(item) % tiles * kTile;
      const int64_t last = std::min(out, first + kTile);
      const float* __restrict from = filter + tap * in * out;
      float* __restrict to = turned + (taps - 1 - tap) * in * out;
      for (int64_t i = 0; i < in; i++) {
        for (int64_t o = first; o < last; o++) to[o * in + i] = from[i * out + o];
      }
    }
  });
}

DataType OperandsOf(int precision) { return precision == 0 ? DataType::f32 : DataType::bf16; }

// Whether to try Winograd's algorithm F(4×4, 3×3), which has a quarter of the multiplications and is about twice as fast
// as the direct one. With fewer channels its transforms and reorders cost what it saves.
bool IsForWinograd(const Geometry& g, int precision) {
  return precision == 0 && g.filter_height == 3 && g.filter_width == 3 && g.stride_height == 1 &&
         g.stride_width == 1 && g.dilation_height == 1 && g.dilation_width == 1 &&
         std::min(g.in_channels, g.out_channels) >= 64;
}

// `make(winograd)`: with Winograd's algorithm if it pays and oneDNN has it.
template <typename Make>
PreparedPrimitive MakePreferringWinograd(const Geometry& g, int precision, const Make& make) {
  if (IsForWinograd(g, precision)) {
    try {
      return make(true);
    } catch (const dnnl::error& error) {
      if (error.status != dnnl_unimplemented) throw;
    }
  }
  return make(false);
}

PreparedPrimitive MakeForward(const Geometry& g, bool has_bias, bool relu, int precision) {
  return MakePreferringWinograd(g, precision, [&](bool winograd) -> PreparedPrimitive {
    const Description d(g, OperandsOf(precision), winograd);
    const auto primitive = d.Forward(d.wanted_out, has_bias ? d.bias : memory::desc(), relu);
    std::vector<Operand> operands{{DNNL_ARG_SRC, d.x, primitive.src_desc(), false},
                                  {DNNL_ARG_WEIGHTS, d.filter, primitive.weights_desc(), false},
                                  {DNNL_ARG_DST, d.y, primitive.dst_desc(), true}};
    if (has_bias) operands.push_back({DNNL_ARG_BIAS, d.bias, d.bias, false});
    return {dnnl::convolution_forward(primitive), primitive.scratchpad_desc(), operands};
  });
}

PreparedPrimitive MakeBackpropInput(const Geometry& g, int precision) {
  return MakePreferringWinograd(g, precision, [&](bool winograd) -> PreparedPrimitive {
    if (!winograd && IsConvolutionOfGradient(g)) {
      PreparedPrimitive forward = MakeForward(GradientGeometry(g), false, false, precision);
      forward.takes_turned_filter = true;
      return forward;
    }
    const Description d(g, OperandsOf(precision), winograd);
    const auto primitive = DescribeGradient<dnnl::convolution_backward_data>(
        AttributesOf(false), d.Forward(d.wanted_y, memory::desc(), false), d.algorithm,
        d.wanted_dx, d.wanted_filter, d.wanted_y, d.strides, d.dilations, d.pad_before,
        d.pad_after);
    return {dnnl::convolution_backward_data(primitive),
            primitive.scratchpad_desc(),
            {{DNNL_ARG_DIFF_DST, d.y, primitive.diff_dst_desc(), false},
             {DNNL_ARG_WEIGHTS, d.filter, primitive.weights_desc(), false},
             {DNNL_ARG_DIFF_SRC, d.x, primitive.diff_src_desc(), true}}};
  });
}

PreparedPrimitive MakeBackpropFilter(const Geometry& g, bool has_bias, int precision) {
  return MakePreferringWinograd(g, precision, [&](bool winograd) -> PreparedPrimitive {
    const Description d(g, OperandsOf(precision), winograd);
    const memory::desc wanted_bias = has_bias ? d.bias : memory::desc();
    const memory::desc wanted_gradient(d.filter_sizes, DataType::f32, Tag::any);
    const auto primitive = DescribeGradient<dnnl::convolution_backward_weights>(
        AttributesOf(false), d.Forward(d.wanted_y, wanted_bias, false), d.algorithm, d.wanted_x,
        wanted_gradient, wanted_bias, d.wanted_y, d.strides, d.dilations, d.pad_before,
        d.pad_after);
    std::vector<Operand> operands{
        {DNNL_ARG_SRC, d.x, primitive.src_desc(), false},
        {DNNL_ARG_DIFF_DST, d.y, primitive.diff_dst_desc(), false},
        {DNNL_ARG_DIFF_WEIGHTS, d.filter, primitive.diff_weights_desc(), true}};
    if (has_bias) operands.push_back({DNNL_ARG_DIFF_BIAS, d.bias, d.bias, true});
    return {dnnl::convolution_backward_weights(primitive), primitive.scratchpad_desc(), operands};
  });
}

void GradientByFilter(const Geometry& g, int precision, float* x, float* dy, float* d_filter,
                      float* d_bias) {
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2dBackpropFilter", g.Key(), d_bias != nullptr, precision),
      [&] { return MakeBackpropFilter(g, d_bias != nullptr, precision); });
  if (d_bias == nullptr) {
    primitive.Execute({x, dy, d_filter});
  } else {
    primitive.Execute({x, dy, d_filter, d_bias});
  }
}

// The largest magnitude of `count` numbers, NaN if one of them is NaN.
float LargestMagnitude(const float* x, size_t count) {
  // Without its sign bit a float orders as its bits do, and NaN comes last.
  using Bits __attribute__((may_alias)) = uint32_t;
  const auto* words = reinterpret_cast<const Bits*>(x);
  std::atomic<uint32_t> largest{0};
  Parallel(count, 1, [&](size_t begin, size_t end) {
    uint32_t own = 0;
#pragma omp simd reduction(max : own)
    for (size_t i = begin; i < end; i++) own = std::max(own, words[i] & 0x7fffffffu);
    uint32_t before = largest;
    while (before < own && !largest.compare_exchange_weak(before, own)) {
    }
  });
  const uint32_t bits = largest;
  float magnitude;
  std::memcpy(&magnitude, &bits, sizeof(magnitude));
  return magnitude;
}

// Whether the convolution cannot give NaN or overflow. oneDNN's fused ReLU turns NaN into 0, so it is used only
// then. Reading the operands costs a third of a ReLU pass over the result of AlexNet's convolutions.
bool StaysFinite(const Geometry& g, const Span<float>& x, const Span<float>& filter,
                 const float* bias) {
  // Winograd's transforms pass through values larger than the result.
  constexpr float kBound = 1e30f;
  const auto terms = static_cast<float>(g.filter_height * g.filter_width * g.in_channels);
  const float product =
      LargestMagnitude(x.data, x.length) * LargestMagnitude(filter.data, filter.length) * terms;
  const float added = bias == nullptr ? 0 : LargestMagnitude(bias, g.out_channels);
  return product + added < kBound;
}

}  // namespace

int PrecisionOf(const Arguments& arguments, size_t index) {
  const int precision = arguments.Choice(index, "precision", {"float32", "bf16"});
  if (precision == 1 && !Device::MultipliesBfloat16()) {
    throw std::runtime_error("this processor has neither AVX512-BF16 nor AMX; use float32");
  }
  return precision;
}

napi_value Conv2D(Arguments& arguments) {
  const Geometry g = Geometry::From(arguments, 4);
  const Span<float> x = arguments.Floats(0, "x", ProductOf(g.InShape()));
  const Span<float> filter = arguments.Floats(1, "filter", ProductOf(g.FilterShape()));
  float* bias = arguments.FloatsOrNull(2, "bias", g.out_channels);
  const Span<float> out = arguments.Floats(3, "out", ProductOf(g.OutShape()));
  const bool relu = arguments.Choice(5, "activation", {"linear", "relu"}) == 1;
  const int precision = PrecisionOf(arguments, 6);
  if (out.length == 0) return nullptr;
  if (x.length == 0) {
    for (size_t i = 0; i < out.length; i++) {
      const float value = bias == nullptr ? 0 : bias[i % g.out_channels];
      out.data[i] = relu ? Relu(value) : value;
    }
    return nullptr;
  }
  const bool fused = relu && StaysFinite(g, x, filter, bias);
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2d", g.Key(), bias != nullptr, fused, precision),
      [&] { return MakeForward(g, bias != nullptr, fused, precision); });
  if (bias == nullptr) {
    primitive.Execute({x.data, filter.data, out.data});
  } else {
    primitive.Execute({x.data, filter.data, out.data, bias});
  }
  if (relu && !fused) {
    Parallel(out.length, 2, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; i++) out.data[i] = Relu(out.data[i]);
    });
  }
  return nullptr;
}

napi_value Conv2DBackpropInput(Arguments& arguments) {
  const Geometry g = Geometry::From(arguments, 3);
  const Span<float> dy = arguments.Floats(0, "dy", ProductOf(g.OutShape()));
  const Span<float> filter = arguments.Floats(1, "filter", ProductOf(g.FilterShape()));
  const Span<float> dx = arguments.Floats(2, "dx", ProductOf(g.InShape()));
  const int precision = PrecisionOf(arguments, 4);
  if (dx.length == 0) return nullptr;
  if (dy.length == 0) {
    std::fill_n(dx.data, dx.length, 0.f);
    return nullptr;
  }
  Device& device = Device::OfThread();
  PreparedPrimitive& primitive =
      device.Prepared(KeyOf("conv2dBackpropInput", g.Key(), precision),
                      [&] { return MakeBackpropInput(g, precision); });
  float* taken = filter.data;
  if (primitive.takes_turned_filter) {
    taken = static_cast<float*>(
        device.ScratchFor(ScratchPurpose::kTurnedFilter, filter.length * sizeof(float)));
    TurnFilter(g, filter.data, taken);
  }
  primitive.Execute({dy.data, taken, dx.data});
  return nullptr;
}

napi_value Conv2DBackpropFilter(Arguments& arguments) {
  const Geometry g = Geometry::From(arguments, 4);
  const Span<float> x = arguments.Floats(0, "x", ProductOf(g.InShape()));
  const Span<float> dy = arguments.Floats(1, "dy", ProductOf(g.OutShape()));
  const Span<float> d_filter = arguments.Floats(2, "dFilter", ProductOf(g.FilterShape()));
  float* d_bias = arguments.FloatsOrNull(3, "dBias", g.out_channels);
  const int precision = PrecisionOf(arguments, 5);
  if (x.length == 0 || dy.length == 0) {
    if (x.length == 0 && dy.length != 0) throw RangeError("x is empty and dy is not");
    std::fill_n(d_filter.data, d_filter.length, 0.f);
    if (d_bias != nullptr) std::fill_n(d_bias, g.out_channels, 0.f);
    return nullptr;
  }
  if (precision == 0 || !HasFewChannelsForItsStride(g)) {
    GradientByFilter(g, precision, x.data, dy.data, d_filter.data, d_bias);
    return nullptr;
  }
  const Geometry blocks = GeometryOfBlocks(g);
  Device& device = Device::OfThread();
  const auto scratch = [&](ScratchPurpose purpose, const Integers& shape) {
    return static_cast<float*>(device.ScratchFor(purpose, ProductOf(shape) * sizeof(float)));
  };
  float* x_blocks = scratch(ScratchPurpose::kBlocks, blocks.InShape());
  float* d_filter_blocks = scratch(ScratchPurpose::kFilterBlocks, blocks.FilterShape());
  ToBlocks(g, x.data, x_blocks);
  GradientByFilter(blocks, precision, x_blocks, dy.data, d_filter_blocks, d_bias);
  FilterFromBlocks(g, d_filter_blocks, d_filter.data);
  return nullptr;
}

}  // namespace twotower
