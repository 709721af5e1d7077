// Matrix products, single or in batches, by oneDNN.

#include <algorithm>
#include <string>

#include "engine.h"
#include "kernels.h"
#include "numbers.h"
#include "parallel.h"

namespace twotower {
namespace {

using dnnl::memory;
using DataType = memory::data_type;

struct Product {
  int64_t a_batch, b_batch, m, k, n;
  bool transpose_a, transpose_b;
  int precision;

  int64_t Batch() const { return std::max(a_batch, b_batch); }
};

// [batch, rows, columns], in memory as is or transposed.
memory::desc MatrixOf(int64_t batch, int64_t rows, int64_t columns, bool transposed,
                      DataType type) {
  const memory::dims strides = transposed ? memory::dims{rows * columns, 1, rows}
                                          : memory::dims{rows * columns, columns, 1};
  return memory::desc({batch, rows, columns}, type, strides);
}

PreparedPrimitive MakeProduct(const Product& p, bool has_bias) {
  const DataType type = p.precision == 0 ? DataType::f32 : DataType::bf16;
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
bool IsInnerProduct(const Product& p) {
  return p.Batch() == 1 && !p.transpose_a && !p.transpose_b && p.precision == 0;
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

napi_value MatMul(Arguments& arguments) {
  const Integers sizes = arguments.Sizes(4, "sizes", 5);
  Product p{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], false, false, 0};
  if (p.a_batch != p.b_batch && p.a_batch != 1 && p.b_batch != 1) {
    throw RangeError("batches of " + std::to_string(p.a_batch) + " and " +
                     std::to_string(p.b_batch) + " do not go together");
  }
  // An empty batch and a batch of one give an empty batch.
  const int64_t batch = p.a_batch == 0 || p.b_batch == 0 ? 0 : p.Batch();
  const Span<float> a = arguments.Floats(0, "a", ProductOf({p.a_batch, p.m, p.k}));
  const Span<float> b = arguments.Floats(1, "b", ProductOf({p.b_batch, p.k, p.n}));
  float* bias = arguments.FloatsOrNull(2, "bias", p.n);
  const Span<float> out = arguments.Floats(3, "out", ProductOf({batch, p.m, p.n}));
  p.transpose_a = arguments.Boolean(5, "transposeA");
  p.transpose_b = arguments.Boolean(6, "transposeB");
  const bool relu = arguments.Choice(7, "activation", {"linear", "relu"}) == 1;
  p.precision = PrecisionOf(arguments, 8);
  if (out.length == 0) return nullptr;
  if (p.k == 0) {
    for (size_t i = 0; i < out.length; i++) {
      const float value = bias == nullptr ? 0 : bias[i % p.n];
      out.data[i] = relu ? Relu(value) : value;
    }
    return nullptr;
  }
  // With one b for all of a, the rows of all of a form one matrix.
  if (p.b_batch == 1 && p.a_batch > 1 && !p.transpose_a) {
    p.m *= p.a_batch;
    p.a_batch = 1;
  }
  const Integers key{p.a_batch, p.b_batch, p.m, p.k, p.n};
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("matMul", key, bias != nullptr, p.transpose_a, p.transpose_b, p.precision),
      [&] {
        return IsInnerProduct(p) ? MakeInnerProduct(p, bias != nullptr)
                                 : MakeProduct(p, bias != nullptr);
      });
  if (bias == nullptr) {
    primitive.Execute({a.data, b.data, out.data});
  } else {
    primitive.Execute({a.data, b.data, out.data, bias});
  }
  if (!relu) return nullptr;
  // oneDNN's own ReLU turns NaN into 0. This pass over a small result costs little.
  Parallel(out.length, 2, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) out.data[i] = Relu(out.data[i]);
  });
  return nullptr;
}

}  // namespace twotower
