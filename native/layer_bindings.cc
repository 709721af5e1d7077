// Bindings of layers and of what training does beside them.

#include <climits>
#include <string>

#include "bindings.h"
#include "kernels.h"

namespace twotower::bindings {
namespace {

Geometry GeometryFrom(const Arguments& arguments, size_t index) {
  return Geometry::From(arguments.Sizes(index, "geometry", Geometry::kFields));
}

Geometry PoolGeometryFrom(const Arguments& arguments, size_t index) {
  const Geometry g = GeometryFrom(arguments, index);
  if (g.in_channels != g.out_channels) {
    throw RangeError("geometry: pooling keeps the number of channels");
  }
  return g;
}

Geometry PoolOfConvolution(const Arguments& arguments, size_t index, const Geometry& g) {
  const Geometry pool = PoolGeometryFrom(arguments, index);
  if (pool.InShape() != g.OutShape()) throw RangeError("pooling: it does not fit the convolution");
  if (pool.filter_height * pool.filter_width > kMaxWindowPositions) {
    throw RangeError("pooling: its window is too large");
  }
  if (ProductOf(g.InShape()) == 0 && ProductOf(g.OutShape()) != 0) {
    throw RangeError("x is empty and what the convolution gives is not");
  }
  return pool;
}

uint8_t* PositionsFrom(const Arguments& arguments, size_t index, const Geometry& pool) {
  const Span<uint8_t> positions = arguments.Bools(index, "positions");
  CheckLength("positions", positions.length, pool.OutShape());
  return positions.data;
}

Precision PrecisionFrom(const Arguments& arguments, size_t index) {
  const auto precision =
      static_cast<Precision>(arguments.Choice(index, "precision", {"float32", "bf16", "tf32"}));
  CheckPrecision(precision);
  return precision;
}

Activation ActivationFrom(const Arguments& arguments, size_t index) {
  return static_cast<Activation>(arguments.Choice(index, "activation", {"linear", "relu"}));
}

Normalization NormalizationFrom(const Arguments& arguments, size_t index, size_t length) {
  Normalization n;
  n.channels = arguments.Integer(index, "channels", 1, INT32_MAX);
  n.radius = arguments.Integer(index + 1, "radius", 0, INT32_MAX);
  n.bias = static_cast<float>(arguments.Number(index + 2, "bias"));
  n.alpha = static_cast<float>(arguments.Number(index + 3, "alpha"));
  n.beta = static_cast<float>(arguments.Number(index + 4, "beta"));
  if (length % n.channels != 0) {
    throw RangeError("x has " + std::to_string(length) + " elements, which are no rows of " +
                     std::to_string(n.channels) + " channels");
  }
  n.rows = static_cast<int64_t>(length) / n.channels;
  // A wider window has the same channels.
  if (n.radius > n.channels - 1) n.radius = n.channels - 1;
  return n;
}

}  // namespace

napi_value Conv2D(Arguments& arguments) {
  const Geometry g = GeometryFrom(arguments, 4);
  const float* x = arguments.Floats(0, "x", ProductOf(g.InShape())).data;
  const float* filter = arguments.Floats(1, "filter", ProductOf(g.FilterShape())).data;
  const float* bias = arguments.FloatsOrNull(2, "bias", g.out_channels);
  float* out = arguments.Floats(3, "out", ProductOf(g.OutShape())).data;
  const Activation activation = ActivationFrom(arguments, 5);
  twotower::Conv2D(g, x, filter, bias, out, activation, PrecisionFrom(arguments, 6));
  return nullptr;
}

napi_value Conv2DBackpropInput(Arguments& arguments) {
  const Geometry g = GeometryFrom(arguments, 3);
  const float* dy = arguments.Floats(0, "dy", ProductOf(g.OutShape())).data;
  const float* filter = arguments.Floats(1, "filter", ProductOf(g.FilterShape())).data;
  float* dx = arguments.Floats(2, "dx", ProductOf(g.InShape())).data;
  twotower::Conv2DBackpropInput(g, dy, filter, dx, PrecisionFrom(arguments, 4));
  return nullptr;
}

napi_value Conv2DBackpropFilter(Arguments& arguments) {
  const Geometry g = GeometryFrom(arguments, 4);
  const Span<float> x = arguments.Floats(0, "x", ProductOf(g.InShape()));
  const Span<float> dy = arguments.Floats(1, "dy", ProductOf(g.OutShape()));
  float* d_filter = arguments.Floats(2, "dFilter", ProductOf(g.FilterShape())).data;
  float* d_bias = arguments.FloatsOrNull(3, "dBias", g.out_channels);
  const Precision precision = PrecisionFrom(arguments, 5);
  if (x.length == 0 && dy.length != 0) throw RangeError("x is empty and dy is not");
  twotower::Conv2DBackpropFilter(g, x.data, dy.data, d_filter, d_bias, precision);
  return nullptr;
}

napi_value Conv2DMaxPool(Arguments& arguments) {
  const Geometry g = GeometryFrom(arguments, 5);
  const Geometry pool = PoolOfConvolution(arguments, 6, g);
  const float* x = arguments.Floats(0, "x", ProductOf(g.InShape())).data;
  const float* filter = arguments.Floats(1, "filter", ProductOf(g.FilterShape())).data;
  const float* bias = arguments.Floats(2, "bias", g.out_channels).data;
  float* out = arguments.Floats(3, "out", ProductOf(pool.OutShape())).data;
  uint8_t* positions = PositionsFrom(arguments, 4, pool);
  twotower::Conv2DMaxPool(g, pool, x, filter, bias, out, positions, PrecisionFrom(arguments, 7));
  return nullptr;
}

napi_value Conv2DMaxPoolBackpropFilter(Arguments& arguments) {
  const Geometry g = GeometryFrom(arguments, 5);
  const Geometry pool = PoolOfConvolution(arguments, 6, g);
  const float* x = arguments.Floats(0, "x", ProductOf(g.InShape())).data;
  const float* dy = arguments.Floats(1, "dy", ProductOf(pool.OutShape())).data;
  const uint8_t* positions = PositionsFrom(arguments, 2, pool);
  float* d_filter = arguments.Floats(3, "dFilter", ProductOf(g.FilterShape())).data;
  float* d_bias = arguments.Floats(4, "dBias", g.out_channels).data;
  twotower::Conv2DMaxPoolBackpropFilter(g, pool, x, dy, positions, d_filter, d_bias,
                                        PrecisionFrom(arguments, 7));
  return nullptr;
}

napi_value MatMul(Arguments& arguments) {
  const Integers sizes = arguments.Sizes(4, "sizes", 5);
  const Product p{sizes[0],
                  sizes[1],
                  sizes[2],
                  sizes[3],
                  sizes[4],
                  arguments.Boolean(5, "transposeA"),
                  arguments.Boolean(6, "transposeB")};
  if (p.a_batch != p.b_batch && p.a_batch != 1 && p.b_batch != 1) {
    throw RangeError("batches of " + std::to_string(p.a_batch) + " and " +
                     std::to_string(p.b_batch) + " do not go together");
  }
  const float* a = arguments.Floats(0, "a", ProductOf({p.a_batch, p.m, p.k})).data;
  const float* b = arguments.Floats(1, "b", ProductOf({p.b_batch, p.k, p.n})).data;
  const float* bias = arguments.FloatsOrNull(2, "bias", p.n);
  float* out = arguments.Floats(3, "out", ProductOf({p.Batch(), p.m, p.n})).data;
  const Activation activation = ActivationFrom(arguments, 7);
  twotower::MatMul(p, a, b, bias, out, activation, PrecisionFrom(arguments, 8));
  return nullptr;
}

napi_value MaxPool(Arguments& arguments) {
  const Geometry g = PoolGeometryFrom(arguments, 2);
  const float* x = arguments.Floats(0, "x", ProductOf(g.InShape())).data;
  twotower::MaxPool(g, x, arguments.Floats(1, "out", ProductOf(g.OutShape())).data);
  return nullptr;
}

napi_value MaxPoolGradient(Arguments& arguments) {
  const Geometry g = PoolGeometryFrom(arguments, 4);
  const float* dy = arguments.Floats(0, "dy", ProductOf(g.OutShape())).data;
  const float* x = arguments.Floats(1, "x", ProductOf(g.InShape())).data;
  const float* y = arguments.Floats(2, "y", ProductOf(g.OutShape())).data;
  float* dx = arguments.Floats(3, "dx", ProductOf(g.InShape())).data;
  twotower::MaxPoolGradient(g, dy, x, y, dx, arguments.Boolean(5, "ofRelu"));
  return nullptr;
}

napi_value AveragePool(Arguments& arguments) {
  const Geometry g = PoolGeometryFrom(arguments, 2);
  const float* x = arguments.Floats(0, "x", ProductOf(g.InShape())).data;
  twotower::AveragePool(g, x, arguments.Floats(1, "out", ProductOf(g.OutShape())).data);
  return nullptr;
}

napi_value AveragePoolGradient(Arguments& arguments) {
  const Geometry g = PoolGeometryFrom(arguments, 2);
  const float* dy = arguments.Floats(0, "dy", ProductOf(g.OutShape())).data;
  twotower::AveragePoolGradient(g, dy, arguments.Floats(1, "dx", ProductOf(g.InShape())).data);
  return nullptr;
}

napi_value LocalResponseNormalization(Arguments& arguments) {
  const Span<float> x = arguments.Floats(0, "x");
  float* out = arguments.Floats(1, "out", x.length).data;
  twotower::LocalResponseNormalization(NormalizationFrom(arguments, 2, x.length), x.data, out);
  return nullptr;
}

napi_value LocalResponseNormalizationGradient(Arguments& arguments) {
  const Span<float> x = arguments.Floats(1, "x");
  const float* dy = arguments.Floats(0, "dy", x.length).data;
  float* dx = arguments.Floats(2, "dx", x.length).data;
  const Normalization n = NormalizationFrom(arguments, 3, x.length);
  twotower::LocalResponseNormalizationGradient(n, dy, x.data, dx);
  return nullptr;
}

napi_value MaxPoolOfNormalizedGradient(Arguments& arguments) {
  const Geometry g = PoolGeometryFrom(arguments, 5);
  const auto inputs = static_cast<size_t>(ProductOf(g.InShape()));
  const auto outputs = static_cast<size_t>(ProductOf(g.OutShape()));
  const float* dy = arguments.Floats(0, "dy", outputs).data;
  const float* x = arguments.Floats(1, "x", inputs).data;
  const float* normalized = arguments.Floats(2, "normalized", inputs).data;
  const float* y = arguments.Floats(3, "y", outputs).data;
  float* dx = arguments.Floats(4, "dx", inputs).data;
  const Normalization n = NormalizationFrom(arguments, 6, inputs);
  if (n.channels != g.in_channels) throw RangeError("channels are not those of geometry");
  twotower::MaxPoolOfNormalizedGradient(g, n, dy, x, normalized, y, dx,
                                        arguments.Boolean(11, "ofRelu"));
  return nullptr;
}

napi_value SoftmaxCrossEntropy(Arguments& arguments) {
  const Span<float> logits = arguments.Floats(0, "logits");
  const Span<int32_t> labels = arguments.Int32s(1, "labels");
  float* loss = arguments.Floats(2, "loss", 1).data;
  float* gradient = arguments.Floats(3, "gradient", logits.length).data;
  const auto classes = static_cast<size_t>(arguments.Integer(4, "classes", 1, INT32_MAX));
  if (logits.length != labels.length * classes) {
    throw RangeError("logits has " + std::to_string(logits.length) + " elements, which are no " +
                     std::to_string(labels.length) + " rows of " + std::to_string(classes));
  }
  twotower::SoftmaxCrossEntropy(labels.length, classes, logits.data, labels.data, loss, gradient);
  return nullptr;
}

napi_value MomentumUpdate(Arguments& arguments) {
  const Span<float> weight = arguments.Floats(0, "weight");
  float* velocity = arguments.Floats(1, "velocity", weight.length).data;
  const float* gradient = arguments.Floats(2, "gradient", weight.length).data;
  float* check = arguments.Floats(3, "check", 1).data;
  const double rate = arguments.Number(4, "rate");
  const double momentum = arguments.Number(5, "momentum");
  const double decay = arguments.Number(6, "decay");
  twotower::MomentumUpdate(weight.length, weight.data, velocity, gradient, check, rate, momentum,
                           decay);
  return nullptr;
}

napi_value DropoutMask(Arguments& arguments) {
  const auto key0 = static_cast<uint32_t>(arguments.Integer(0, "key0", 0, UINT32_MAX));
  const auto key1 = static_cast<uint32_t>(arguments.Integer(1, "key1", 0, UINT32_MAX));
  const double rate = arguments.Number(2, "rate");
  const Span<float> out = arguments.Floats(3, "out");
  if (!(rate >= 0 && rate < 1)) throw RangeError("rate must be in [0, 1)");
  twotower::DropoutMask(key0, key1, rate, out);
  return nullptr;
}

}  // namespace twotower::bindings
