// Matrix products, single or in batches, by oneDNN.

#include <algorithm>
#include <string>

#include "../kernels.h"
#include "engine.h"
#include "../numbers.h"
#include "parallel.h"

namespace twotower {
namespace {

using dnnl::memory;
using DataType = memory::data_type;

// [batch, rows, columns], in memory as is or transposed.
memory::desc MatrixOf(int64_t batch, int64_t rows, int64_t columns, bool transposed,
                      DataType type) {
  const memory::dims strides = transposed ? memory::dims{rows * columns, 1, rows}
                                          : memory::dims{rows * columns, columns, 1};
  return memory::desc({batch, rows, columns}, type, strides);
}

PreparedPrimitive MakeProduct(const Product& p, Precision precision, bool has_bias) {
  const DataType type = precision == Precision::kFloat32 ? DataType::f32 : DataType::bf16;
  const auto a = MatrixOf(p.a_batch, p.m, p.k, p.transpose_a, DataType::f32);
  const auto b = MatrixOf(p.b_batch, p.k, p.n, p.transpose_b, DataType::f32);
  const auto wanted_a = MatrixOf(p.a_batch, p.m, p.k, p.transpose_a, type);
  const auto wanted_b = MatrixOf(p.b_batch, p.k, p.n, p.transpose_b, type);
  const auto out = MatrixOf(p.Batch(), p.m, p.n, false, DataType::f32);
  const memory::desc bias({1, 1, p.n}, DataType::f32, memory::format_tag::abc);
  const auto primitive =
      has_bias ? Describe<dnnl::matmul>(AttributesOf(false), wanted_a, wanted_b, bias, out)
               : Describe<dnnl::matmul>(AttributesOf(false), wanted_a, wanted_b, out);
  std::vector<Operand> operands{{DNNL_ARG_SRC, a, wanted_a, false},
                                {DNNL_ARG_WEIGHTS, b, wanted_b, false},
                                {DNNL_ARG_DST, out, out, true}};
  if (has_bias) operands.push_back({DNNL_ARG_BIAS, bias, bias, false});
  return {dnnl::matmul(primitive), primitive.scratchpad_desc(), operands};
}

// Whether oneDNN's inner product serves, which is up to twice as fast as its matmul for the forward product of a
// fully-connected layer: one matrix by one, neither transposed. In all other cases matmul is faster.
bool IsInnerProduct(const Product& p, Precision precision) {
  return p.Batch() == 1 && !p.transpose_a && !p.transpose_b && precision == Precision::kFloat32;
}

PreparedPrimitive MakeInnerProduct(const Product& p, bool has_bias) {
  const memory::desc a({p.m, p.k}, DataType::f32, memory::format_tag::ab);
  // oneDNN's dimensions are [outputs, inputs].
  const memory::desc b({p.n, p.k}, DataType::f32, memory::format_tag::ba);
  const memory::desc out({p.m, p.n}, DataType::f32, memory::format_tag::ab);
  const memory::desc bias({p.n}, DataType::f32, memory::format_tag::a);
  const auto primitive = Describe<dnnl::inner_product_forward>(
      AttributesOf(false), dnnl::prop_kind::forward_training, a, b,
      has_bias ? bias : memory::desc(), out);
  std::vector<Operand> operands{{DNNL_ARG_SRC, a, a, false},
                                {DNNL_ARG_WEIGHTS, b, b, false},
                                {DNNL_ARG_DST, out, out, true}};
  if (has_bias) operands.push_back({DNNL_ARG_BIAS, bias, bias, false});
  return {dnnl::inner_product_forward(primitive), primitive.scratchpad_desc(), operands};
}

}  // namespace

void MatMul(const Product& product, const float* a, const float* b, const float* bias, float* out,
            Activation activation, Precision precision) {
  Product p = product;
  const auto length = static_cast<size_t>(p.Batch() * p.m * p.n);
  const bool relu = activation == Activation::kRelu;
  if (length == 0) return;
  if (p.k == 0) {
    for (size_t i = 0; i < length; i++) {
      const float value = bias == nullptr ? 0 : bias[i % p.n];
      out[i] = relu ? Relu(value) : value;
    }
    return;
  }
  // With one b for all of a, the rows of all of a form one matrix.
  if (p.b_batch == 1 && p.a_batch > 1 && !p.transpose_a) {
    p.m *= p.a_batch;
    p.a_batch = 1;
  }
  const Integers key{p.a_batch, p.b_batch, p.m, p.k, p.n};
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("matMul", key, bias != nullptr, p.transpose_a, p.transpose_b, precision),
      [&] {
        return IsInnerProduct(p, precision) ? MakeInnerProduct(p, bias != nullptr)
                                            : MakeProduct(p, precision, bias != nullptr);
      });
  if (bias == nullptr) {
    primitive.Execute({a, b, out});
  } else {
    primitive.Execute({a, b, out, bias});
  }
  if (!relu) return;
  // oneDNN's own ReLU turns NaN into 0. This pass over a small result costs little.
  Parallel(length, 2, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) out[i] = Relu(out[i]);
  });
}

}  // namespace twotower
