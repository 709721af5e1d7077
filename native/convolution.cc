// Convolution and its gradients: by oneDNN's primitives, or through the frequency domain.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "convolution_algorithm.h"
#include "convolution_primitives.h"
#include "engine.h"
#include "fft_convolution.h"
#include "geometry.h"
#include "kernels.h"
#include "numbers.h"
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

float* Scratch(ScratchPurpose purpose, size_t floats) {
  return static_cast<float*>(Device::OfThread().ScratchFor(purpose, floats * sizeof(float)));
}

float* BlocksOf(const Geometry& g, const float* x) {
  float* blocks = Scratch(ScratchPurpose::kBlocks, ProductOf(GeometryOfBlocks(g).InShape()));
  ToBlocks(g, x, blocks);
  return blocks;
}

float* BlocksOfFilter(const Geometry& g) {
  return Scratch(ScratchPurpose::kFilterBlocks, ProductOf(GeometryOfBlocks(g).FilterShape()));
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

void Forward(const Geometry& g, int precision, float* x, float* filter, float* bias, bool relu,
             float* out) {
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
      [&] { return MakeForward(g, bias != nullptr, fused, winograd ? 0 : precision, winograd); });
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

void InputGradient(const Geometry& g, int precision, float* dy, float* filter, float* dx) {
  const Choice& choice = ChoiceOf(Pass::kInputGradient, g, precision);
  const auto turned = [&] {
    float* to = Scratch(ScratchPurpose::kTurnedFilter, ProductOf(g.FilterShape()));
    TurnFilter(g, filter, to);
    return to;
  };
  if (choice.algorithm == Algorithm::kFft) {
    return FftForward(GradientGeometry(g), *choice.plan, dy, turned(), nullptr, false, dx);
  }
  const bool winograd = choice.algorithm == Algorithm::kWinograd;
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2dBackpropInput", g.Key(), precision, winograd),
      [&] { return MakeBackpropInput(g, winograd ? 0 : precision, winograd); });
  primitive.Execute({dy, primitive.takes_turned_filter ? turned() : filter, dx});
}

void FilterGradientByPrimitive(const Geometry& g, int precision, bool winograd, float* x, float* dy,
                               float* d_filter, float* d_bias) {
  PreparedPrimitive& primitive = Device::OfThread().Prepared(
      KeyOf("conv2dBackpropFilter", g.Key(), d_bias != nullptr, precision, winograd), [&] {
        return MakeBackpropFilter(g, d_bias != nullptr, winograd ? 0 : precision, winograd);
      });
  if (d_bias == nullptr) {
    primitive.Execute({x, dy, d_filter});
  } else {
    primitive.Execute({x, dy, d_filter, d_bias});
  }
}

void FilterGradient(const Geometry& g, int precision, float* x, float* dy, float* d_filter,
                    float* d_bias) {
  const Choice& choice = ChoiceOf(Pass::kFilterGradient, g, precision);
  const bool fft = choice.algorithm == Algorithm::kFft;
  // oneDNN gains from blocks in bfloat16 alone.
  const bool in_blocks = fft ? choice.in_blocks : precision == 1 && HasFewChannelsForItsStride(g);
  const Geometry taken = in_blocks ? GeometryOfBlocks(g) : g;
  float* x_taken = in_blocks ? BlocksOf(g, x) : x;
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
  Forward(g, precision, x.data, filter.data, bias, relu, out.data);
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
  InputGradient(g, precision, dy.data, filter.data, dx.data);
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
  FilterGradient(g, precision, x.data, dy.data, d_filter.data, d_bias);
  return nullptr;
}

napi_value PreferConvolutionAlgorithm(Arguments& arguments) {
  const int choice = arguments.Choice(0, "algorithm", {"direct", "winograd", "fft", "cheapest"});
  PreferAlgorithm(choice == 3 ? std::nullopt : std::optional(static_cast<Algorithm>(choice)));
  return nullptr;
}

napi_value ConvolutionAlgorithm(Arguments& arguments) {
  const auto pass = static_cast<Pass>(arguments.Choice(0, "pass", {"forward", "input", "filter"}));
  const Geometry g = Geometry::From(arguments, 1);
  const Choice& choice = ChoiceOf(pass, g, PrecisionOf(arguments, 2));
  const char* names[] = {"direct", "winograd", "fft"};
  const napi_env env = arguments.env();
  napi_value result, name;
  napi_create_object(env, &result);
  napi_create_string_utf8(env, names[static_cast<int>(choice.algorithm)], NAPI_AUTO_LENGTH, &name);
  napi_set_named_property(env, result, "algorithm", name);
  napi_set_named_property(env, result, "operations", arguments.Number(choice.operations));
  return result;
}

}  // namespace twotower
