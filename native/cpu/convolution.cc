// Convolution and its gradients: by oneDNN's primitives, or through the frequency domain.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

#include "../geometry.h"
#include "../kernels.h"
#include "convolution_algorithm.h"
#include "convolution_primitives.h"
#include "engine.h"
#include "fft_convolution.h"
#include "../numbers.h"
#include "parallel.h"
#include "space_to_depth.h"

namespace twotower {
namespace {

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

// Winograd's algorithm takes float32 operands in every precision.
Precision PrimitivePrecision(Precision precision, bool winograd) {
  return winograd ? Precision::kFloat32 : precision;
}

float* BlocksOf(const Geometry& g, const float* x) {
  float* blocks = ScratchFloats(ScratchPurpose::kBlocks, ProductOf(GeometryOfBlocks(g).InShape()));
  ToBlocks(g, x, blocks);
  return blocks;
}

float* BlocksOfFilter(const Geometry& g) {
  return ScratchFloats(ScratchPurpose::kFilterBlocks, ProductOf(GeometryOfBlocks(g).FilterShape()));
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
bool StaysFinite(const Geometry& g, const float* x, const float* filter, const float* bias) {
  // Winograd's transforms pass through values larger than the result.
  constexpr float kBound = 1e30f;
  const auto terms = static_cast<float>(g.filter_height * g.filter_width * g.in_channels);
  const float product = LargestMagnitude(x, ProductOf(g.InShape())) *
                        LargestMagnitude(filter, ProductOf(g.FilterShape())) * terms;
  const float added = bias == nullptr ? 0 : LargestMagnitude(bias, g.out_channels);
  return product + added < kBound;
}

void Forward(const Geometry& g, Precision precision, const float* x, const float* filter,
             const float* bias, bool relu, float* out) {
  const Choice& choice = ChoiceOf(Pass::kForward, g, precision);
  if (choice.algorithm == Algorithm::kFft) {
    if (!choice.in_blocks) return FftForward(g, *choice.plan, x, filter, bias, relu, out);
    float* filter_blocks = BlocksOfFilter(g);
    FilterToBlocks(g, filter, filter_blocks);
    return FftForward(GeometryOfBlocks(g), *choice.plan, BlocksOf(g, x), filter_blocks, bias, relu,
                      out);
  }
  const bool winograd = choice.algorithm == Algorithm::kWinograd;
  const bool fused = relu && StaysFinite(g, x, filter, bias);
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2d", g.Key(), bias != nullptr, fused, precision, winograd),
      [&] {
        return MakeForward(g, bias != nullptr, fused, PrimitivePrecision(precision, winograd),
                           winograd);
      });
  if (bias == nullptr) {
    primitive.Execute({x, filter, out});
  } else {
    primitive.Execute({x, filter, out, bias});
  }
  if (fused || !relu) return;
  Parallel(ProductOf(g.OutShape()), 2, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) out[i] = Relu(out[i]);
  });
}

void InputGradient(const Geometry& g, Precision precision, const float* dy, const float* filter,
                   float* dx) {
  const Choice& choice = ChoiceOf(Pass::kInputGradient, g, precision);
  const auto turned = [&] {
    float* to = ScratchFloats(ScratchPurpose::kTurnedFilter, ProductOf(g.FilterShape()));
    TurnFilter(g, filter, to);
    return to;
  };
  if (choice.algorithm == Algorithm::kFft) {
    return FftForward(GradientGeometry(g), *choice.plan, dy, turned(), nullptr, false, dx);
  }
  const bool winograd = choice.algorithm == Algorithm::kWinograd;
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2dBackpropInput", g.Key(), precision, winograd),
      [&] { return MakeBackpropInput(g, PrimitivePrecision(precision, winograd), winograd); });
  primitive.Execute({dy, primitive.takes_turned_filter ? turned() : filter, dx});
}

void FilterGradientByPrimitive(const Geometry& g, Precision precision, bool winograd, const float* x,
                               const float* dy, float* d_filter, float* d_bias) {
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2dBackpropFilter", g.Key(), d_bias != nullptr, precision, winograd), [&] {
        return MakeBackpropFilter(g, d_bias != nullptr, PrimitivePrecision(precision, winograd),
                                  winograd);
      });
  if (d_bias == nullptr) {
    primitive.Execute({x, dy, d_filter});
  } else {
    primitive.Execute({x, dy, d_filter, d_bias});
  }
}

void FilterGradient(const Geometry& g, Precision precision, const float* x, const float* dy,
                    float* d_filter, float* d_bias) {
  const Choice& choice = ChoiceOf(Pass::kFilterGradient, g, precision);
  const bool fft = choice.algorithm == Algorithm::kFft;
  // oneDNN gains from blocks in bfloat16 alone.
  const bool in_blocks = fft ? choice.in_blocks
                             : precision == Precision::kBf16 && HasFewChannelsForItsStride(g);
  const Geometry taken = in_blocks ? GeometryOfBlocks(g) : g;
  const float* x_taken = in_blocks ? BlocksOf(g, x) : x;
  float* gradient = in_blocks ? BlocksOfFilter(g) : d_filter;
  if (fft) {
    FftFilterGradient(taken, *choice.plan, x_taken, dy, gradient, d_bias);
  } else {
    FilterGradientByPrimitive(taken, precision, choice.algorithm == Algorithm::kWinograd, x_taken,
                              dy, gradient, d_bias);
  }
  if (in_blocks) FilterFromBlocks(g, gradient, d_filter);
}

}  // namespace

void CheckPrecision(Precision precision) {
  if (precision == Precision::kTf32) throw std::runtime_error("tf32 is for GPUs only");
  if (precision == Precision::kBf16 && !Device::MultipliesBfloat16()) {
    throw std::runtime_error("this processor has neither AVX512-BF16 nor AMX; use float32");
  }
}

void Conv2D(const Geometry& g, const float* x, const float* filter, const float* bias, float* out,
            Activation activation, Precision precision) {
  const bool relu = activation == Activation::kRelu;
  const size_t length = ProductOf(g.OutShape());
  if (length == 0) return;
  if (ProductOf(g.InShape()) > 0) return Forward(g, precision, x, filter, bias, relu, out);
  for (size_t i = 0; i < length; i++) {
    const float value = bias == nullptr ? 0 : bias[i % g.out_channels];
    out[i] = relu ? Relu(value) : value;
  }
}

void Conv2DBackpropInput(const Geometry& g, const float* dy, const float* filter, float* dx,
                         Precision precision) {
  const size_t length = ProductOf(g.InShape());
  if (length == 0) return;
  if (ProductOf(g.OutShape()) > 0) return InputGradient(g, precision, dy, filter, dx);
  std::fill_n(dx, length, 0.f);
}

void Conv2DBackpropFilter(const Geometry& g, const float* x, const float* dy, float* d_filter,
                          float* d_bias, Precision precision) {
  if (ProductOf(g.OutShape()) > 0) {
    return FilterGradient(g, precision, x, dy, d_filter, d_bias);
  }
  std::fill_n(d_filter, ProductOf(g.FilterShape()), 0.f);
  if (d_bias != nullptr) std::fill_n(d_bias, g.out_channels, 0.f);
}

}  // namespace twotower
