#include "convolution_primitives.h"

#include <algorithm>
#include <utility>

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

DataType OperandsOf(Precision precision) {
  return precision == Precision::kFloat32 ? DataType::f32 : DataType::bf16;
}

}  // namespace

// In this layout oneDNN's forward kernels are faster than those of the gradient by the input.
bool IsConvolutionOfGradient(const Geometry& g) {
  return g.stride_height == 1 && g.stride_width == 1 &&
         std::max(g.pad_top, g.PadBottom()) <= (g.filter_height - 1) * g.dilation_height &&
         std::max(g.pad_left, g.PadRight()) <= (g.filter_width - 1) * g.dilation_width;
}

Geometry GradientGeometry(const Geometry& g) {
  Geometry of_gradient = g;
  std::swap(of_gradient.in_height, of_gradient.out_height);
  std::swap(of_gradient.in_width, of_gradient.out_width);
  std::swap(of_gradient.in_channels, of_gradient.out_channels);
  of_gradient.pad_top = (g.filter_height - 1) * g.dilation_height - g.pad_top;
  of_gradient.pad_left = (g.filter_width - 1) * g.dilation_width - g.pad_left;
  return of_gradient;
}

PreparedPrimitive MakeForward(const Geometry& g, bool has_bias, bool relu, Precision precision,
                              bool winograd) {
    const Description d(g, OperandsOf(precision), winograd);
    const auto primitive = d.Forward(d.wanted_out, has_bias ? d.bias : memory::desc(), relu);
    std::vector<Operand> operands{{DNNL_ARG_SRC, d.x, primitive.src_desc(), false},
                                  {DNNL_ARG_WEIGHTS, d.filter, primitive.weights_desc(), false},
                                  {DNNL_ARG_DST, d.y, primitive.dst_desc(), true}};
    if (has_bias) operands.push_back({DNNL_ARG_BIAS, d.bias, d.bias, false});
    return {dnnl::convolution_forward(primitive), primitive.scratchpad_desc(), operands};
}

PreparedPrimitive MakeBackpropInput(const Geometry& g, Precision precision, bool winograd) {
    if (!winograd && IsConvolutionOfGradient(g)) {
      PreparedPrimitive forward = MakeForward(GradientGeometry(g), false, false, precision, false);
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
}

PreparedPrimitive MakeBackpropFilter(const Geometry& g, bool has_bias, Precision precision,
                                     bool winograd) {
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
}

}  // namespace twotower
