// Launches the kernels of kernels/pooling.cu, and what is made of them.

#include "../kernels.h"
#include "launch.h"

namespace twotower {
namespace {

using cuda::LaunchFor;
using cuda::PoolSizes;
using cuda::Scratch;

PoolSizes PoolSizesOf(const Geometry& g) {
  const auto narrow = [](int64_t size) { return static_cast<int>(size); };
  return {narrow(g.batch),           narrow(g.in_channels),     narrow(g.in_height),
          narrow(g.in_width),        narrow(g.out_height),      narrow(g.out_width),
          narrow(g.filter_height),   narrow(g.filter_width),    narrow(g.stride_height),
          narrow(g.stride_width),    narrow(g.dilation_height), narrow(g.dilation_width),
          narrow(g.pad_top),         narrow(g.pad_left)};
}

cuda::NormalizationSizes NormalizationSizesOf(const Normalization& n) {
  return {static_cast<unsigned long>(n.rows), static_cast<int>(n.channels),
          static_cast<int>(n.radius), n.bias, n.alpha, n.beta};
}

}  // namespace

void MaxPool(const Geometry& g, const float* x, float* out) {
  const size_t count = ProductOf(g.OutShape());
  LaunchFor(count, "MaxPool", count, PoolSizesOf(g), x, out);
}

void MaxPoolGradient(const Geometry& g, const float* dy, const float* x, const float* y, float* dx,
                     bool of_relu) {
  const size_t count = ProductOf(g.InShape());
  LaunchFor(count, "MaxPoolGradient", count, PoolSizesOf(g), dy, x, y, dx, of_relu);
}

void AveragePool(const Geometry& g, const float* x, float* out) {
  const size_t count = ProductOf(g.OutShape());
  LaunchFor(count, "AveragePool", count, PoolSizesOf(g), x, out);
}

void AveragePoolGradient(const Geometry& g, const float* dy, float* dx) {
  const size_t count = ProductOf(g.InShape());
  LaunchFor(count, "AveragePoolGradient", count, PoolSizesOf(g), dy, dx);
}

void LocalResponseNormalization(const Normalization& n, const float* x, float* out) {
  const auto count = static_cast<size_t>(n.rows * n.channels);
  LaunchFor(count, "LocalResponseNormalization", count, NormalizationSizesOf(n), x, out);
}

void LocalResponseNormalizationGradient(const Normalization& n, const float* dy, const float* x,
                                        float* dx) {
  const auto count = static_cast<size_t>(n.rows * n.channels);
  LaunchFor(count, "LocalResponseNormalizationGradient", count, NormalizationSizesOf(n), dy, x, dx);
}

void MaxPoolOfNormalizedGradient(const Geometry& g, const Normalization& n, const float* dy,
                                 const float* x, const float* normalized, const float* y, float* dx,
                                 bool of_relu) {
  const size_t count = ProductOf(g.InShape());
  const Scratch between(count * sizeof(float));
  MaxPoolGradient(g, dy, normalized, y, between.As<float>(), false);
  LocalResponseNormalizationGradient(n, between.As<float>(), x, dx);
  if (of_relu) ReluGradient(count, dx, x, dx);
}

void Conv2DMaxPool(const Geometry& g, const Geometry& pool, const float* x, const float* filter,
                   const float* bias, float* out, uint8_t* positions, Precision precision) {
  const Scratch between(ProductOf(g.OutShape()) * sizeof(float));
  Conv2D(g, x, filter, bias, between.As<float>(), Activation::kRelu, precision);
  const size_t count = ProductOf(pool.OutShape());
  LaunchFor(count, "MaxPoolWithPositions", count, PoolSizesOf(pool), between.As<float>(), out,
            positions);
}

void Conv2DMaxPoolBackpropFilter(const Geometry& g, const Geometry& pool, const float* x,
                                 const float* dy, const uint8_t* positions, float* d_filter,
                                 float* d_bias, Precision precision) {
  const size_t count = ProductOf(g.OutShape());
  const Scratch between(count * sizeof(float));
  LaunchFor(count, "GradientFromPositions", count, PoolSizesOf(pool), dy, positions,
            between.As<float>());
  Conv2DBackpropFilter(g, x, between.As<float>(), d_filter, d_bias, precision);
}

}  // namespace twotower
