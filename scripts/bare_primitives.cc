// oneDNN's own primitives for the conv and fc layers of a network, forward and both gradients, each in the layouts that it likes
// best, without reorders and with nothing between them; and what the machine can do: operations and bytes per second.
//
// scripts/bench.ts compiles it and lets it take its turns among the others:
//
//     bare_primitives THREADS float32|bf16 LAYER…
//     LAYER: conv:BATCH,IN_HEIGHT,IN_WIDTH,IN,OUT_HEIGHT,OUT_WIDTH,OUT,SIZE,STRIDE,PAD
//         or fc:BATCH,IN,OUT
//
// The first layer's image needs no gradient. A 3×3 convolution is timed by the direct and by Winograd's
// algorithm when it is prepared, and the faster is kept. For every line on stdin all primitives run once. The answer is a line of
// milliseconds, one for each layer, and three speeds: 10⁹ float32 operations per second, the same in the operands' type, and
// 10⁹ bytes per second read and written by a copy.

#include <omp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using DataType = memory::data_type;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  static dnnl::stream stream(Engine());
  return stream;
}

double Milliseconds() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double, std::milli>(Clock::now().time_since_epoch()).count();
}

// A primitive with memory of its own.
struct Prepared {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> memories;

  void Add(int argument, const memory::desc& description) {
    if (description.get_size() == 0) return;
    memory one(description, Engine());
    // Numbers of ordinary size; zeros would be quick for some processors, NaN slow.
    const size_t bytes = description.get_size();
    auto* data = static_cast<unsigned char*>(one.get_data_handle());
#if DNNL_VERSION_MAJOR >= 3
    const DataType type = description.get_data_type();
#else
    const DataType type = description.data_type();
#endif
    if (type == DataType::bf16) {
      auto* values = reinterpret_cast<uint16_t*>(data);
      for (size_t i = 0; i < bytes / 2; i++) values[i] = 0x3c00 + i % 509;
    } else {
      auto* values = reinterpret_cast<float*>(data);
      for (size_t i = 0; i < bytes / 4; i++) values[i] = 0.01f + 0.001f * (i % 509);
    }
    memories.emplace(argument, one);
  }

  void Run() {
    primitive.execute(Stream(), memories);
    Stream().wait();
  }
};

#if DNNL_VERSION_MAJOR >= 3
template <typename Primitive, typename... Rest>
typename Primitive::primitive_desc Describe(const Rest&... rest) {
  return {Engine(), rest...};
}
template <typename Primitive, typename Hint, typename... Rest>
typename Primitive::primitive_desc DescribeGradient(const Hint& hint, const Rest&... rest) {
  return {Engine(), rest..., hint};
}
#else
template <typename Primitive, typename... Rest>
typename Primitive::primitive_desc Describe(const Rest&... rest) {
  return {typename Primitive::desc(rest...), Engine()};
}
template <typename Primitive, typename Hint, typename... Rest>
typename Primitive::primitive_desc DescribeGradient(const Hint& hint, const Rest&... rest) {
  return {typename Primitive::desc(rest...), Engine(), hint};
}
#endif

struct Layer {
  std::vector<Prepared> primitives;

  double Time() {
    const double start = Milliseconds();
    for (Prepared& one : primitives) one.Run();
    return Milliseconds() - start;
  }
};

Layer MakeConvolution(const std::vector<long>& s, DataType type, dnnl::algorithm algorithm,
                      bool first) {
  const auto any = [](const memory::dims& sizes, DataType of) {
    return memory::desc(sizes, of, Tag::any);
  };
  const memory::dims x{s[0], s[3], s[1], s[2]}, filter{s[6], s[3], s[7], s[7]},
      y{s[0], s[6], s[4], s[5]}, strides{s[8], s[8]}, pad{s[9], s[9]};
  const memory::desc bias({s[6]}, DataType::f32, Tag::x);
  Layer layer;
  const auto forward = Describe<dnnl::convolution_forward>(
      dnnl::prop_kind::forward_training, algorithm, any(x, type), any(filter, type), bias,
      any(y, DataType::f32), strides, pad, pad);
  Prepared one{dnnl::convolution_forward(forward), {}};
  one.Add(DNNL_ARG_SRC, forward.src_desc());
  one.Add(DNNL_ARG_WEIGHTS, forward.weights_desc());
  one.Add(DNNL_ARG_BIAS, bias);
  one.Add(DNNL_ARG_DST, forward.dst_desc());
  layer.primitives.push_back(one);
  // Gradients take dy in the operands' type.
  const auto hint = Describe<dnnl::convolution_forward>(
      dnnl::prop_kind::forward_training, algorithm, any(x, type), any(filter, type), bias,
      any(y, type), strides, pad, pad);
  const auto by_filter = DescribeGradient<dnnl::convolution_backward_weights>(
      hint, algorithm, any(x, type), any(filter, DataType::f32), bias, any(y, type), strides, pad,
      pad);
  Prepared two{dnnl::convolution_backward_weights(by_filter), {}};
  two.Add(DNNL_ARG_SRC, by_filter.src_desc());
  two.Add(DNNL_ARG_DIFF_DST, by_filter.diff_dst_desc());
  two.Add(DNNL_ARG_DIFF_WEIGHTS, by_filter.diff_weights_desc());
  two.Add(DNNL_ARG_DIFF_BIAS, bias);
  layer.primitives.push_back(two);
  if (first) return layer;
  const auto by_input = DescribeGradient<dnnl::convolution_backward_data>(
      hint, algorithm, any(x, DataType::f32), any(filter, type), any(y, type), strides, pad, pad);
  Prepared three{dnnl::convolution_backward_data(by_input), {}};
  three.Add(DNNL_ARG_DIFF_DST, by_input.diff_dst_desc());
  three.Add(DNNL_ARG_WEIGHTS, by_input.weights_desc());
  three.Add(DNNL_ARG_DIFF_SRC, by_input.diff_src_desc());
  layer.primitives.push_back(three);
  return layer;
}

// The faster of both algorithms, primitive by primitive.
Layer MakeFasterConvolution(const std::vector<long>& sizes, DataType type, bool first) {
  Layer direct = MakeConvolution(sizes, type, dnnl::algorithm::convolution_direct, first);
  if (sizes[7] != 3 || sizes[8] != 1) return direct;
  try {
    Layer winograd = MakeConvolution(sizes, type, dnnl::algorithm::convolution_winograd, first);
    const auto best = [](Prepared& one) {
      double least = 1e9;
      for (int repeat = 0; repeat < 3; repeat++) {
        const double start = Milliseconds();
        one.Run();
        least = std::min(least, Milliseconds() - start);
      }
      return least;
    };
    for (size_t i = 0; i < direct.primitives.size(); i++) {
      if (best(winograd.primitives[i]) < best(direct.primitives[i])) {
        direct.primitives[i] = winograd.primitives[i];
      }
    }
  } catch (const dnnl::error&) {
    // This processor or type has no kernel for it.
  }
  return direct;
}

Layer MakeProduct(const std::vector<long>& s, DataType type) {
  const auto any = [](const memory::dims& sizes, DataType of) {
    return memory::desc(sizes, of, Tag::any);
  };
  const memory::dims x{s[0], s[1]}, weight{s[2], s[1]}, y{s[0], s[2]};
  const memory::desc bias({s[2]}, DataType::f32, Tag::x);
  Layer layer;
  const auto forward = Describe<dnnl::inner_product_forward>(
      dnnl::prop_kind::forward_training, any(x, type), any(weight, type), bias,
      any(y, DataType::f32));
  Prepared one{dnnl::inner_product_forward(forward), {}};
  one.Add(DNNL_ARG_SRC, forward.src_desc());
  one.Add(DNNL_ARG_WEIGHTS, forward.weights_desc());
  one.Add(DNNL_ARG_BIAS, bias);
  one.Add(DNNL_ARG_DST, forward.dst_desc());
  layer.primitives.push_back(one);
  const auto by_weight = DescribeGradient<dnnl::inner_product_backward_weights>(
      forward, any(x, type), any(weight, DataType::f32), bias, any(y, type));
  Prepared two{dnnl::inner_product_backward_weights(by_weight), {}};
  two.Add(DNNL_ARG_SRC, by_weight.src_desc());
  two.Add(DNNL_ARG_DIFF_DST, by_weight.diff_dst_desc());
  two.Add(DNNL_ARG_DIFF_WEIGHTS, by_weight.diff_weights_desc());
  two.Add(DNNL_ARG_DIFF_BIAS, bias);
  layer.primitives.push_back(two);
  const auto by_input = DescribeGradient<dnnl::inner_product_backward_data>(
      forward, any(x, DataType::f32), any(weight, type), any(y, type));
  Prepared three{dnnl::inner_product_backward_data(by_input), {}};
  three.Add(DNNL_ARG_DIFF_DST, by_input.diff_dst_desc());
  three.Add(DNNL_ARG_WEIGHTS, by_input.weights_desc());
  three.Add(DNNL_ARG_DIFF_SRC, by_input.diff_src_desc());
  layer.primitives.push_back(three);
  return layer;
}

typedef float Vector __attribute__((vector_size(64)));

// Multiplications and additions on registers alone, by all threads.
double PeakGigaoperations() {
  constexpr int kSums = 12;
  constexpr long kRounds = 2'000'000;
  double start = 0;
  double end = 0;
  float kept = 0;
  const int threads = omp_get_max_threads();
#pragma omp parallel reduction(+ : kept)
  {
    const Vector factor = Vector{} + 0.999f;
    const Vector term = Vector{} + 0.001f;
    Vector sums[kSums] = {};
#pragma omp barrier
#pragma omp master
    start = Milliseconds();
    for (long round = 0; round < kRounds; round++) {
#pragma GCC unroll 12
      for (int i = 0; i < kSums; i++) sums[i] = sums[i] * factor + term;
    }
#pragma omp barrier
#pragma omp master
    end = Milliseconds();
    for (const Vector& sum : sums) kept += sum[0];
  }
  if (kept == 0) std::fprintf(stderr, "bare primitives: sums of nothing\n");
  return 2.0 * 16 * kSums * kRounds * threads / (end - start) / 1e6;
}

// Of a large matrix product in bfloat16.
double Bfloat16Gigaoperations() {
  constexpr long kSide = 2048;
  static Layer product = [] {
    Layer layer = MakeProduct({kSide, kSide, kSide}, DataType::bf16);
    layer.primitives.resize(1);
    layer.Time();
    return layer;
  }();
  return 2.0 * kSide * kSide * kSide / product.Time() / 1e6;
}

double GigabytesPerSecond() {
  constexpr long kFloats = 32 << 20;
  static std::vector<float> from(kFloats, 1.f), to(kFloats);
  const double start = Milliseconds();
#pragma omp parallel for schedule(static)
  for (long i = 0; i < kFloats; i++) to[i] = from[i];
  return 2.0 * kFloats * sizeof(float) / (Milliseconds() - start) / 1e6;
}

std::vector<long> SizesOf(const std::string& text) {
  std::vector<long> sizes;
  std::stringstream stream(text.substr(text.find(':') + 1));
  for (std::string one; std::getline(stream, one, ',');) sizes.push_back(std::stol(one));
  return sizes;
}

}  // namespace

int main(int count, char** words) {
  try {
    omp_set_num_threads(std::stoi(words[1]));
    const DataType type = std::string(words[2]) == "bf16" ? DataType::bf16 : DataType::f32;
    std::vector<Layer> layers;
    for (int i = 3; i < count; i++) {
      const std::string word = words[i];
      const auto sizes = SizesOf(word);
      layers.push_back(word[0] == 'f' ? MakeProduct(sizes, type)
                                      : MakeFasterConvolution(sizes, type, i == 3));
    }
    for (std::string line; std::getline(std::cin, line);) {
      for (Layer& layer : layers) std::printf("%.3f ", layer.Time());
      const double peak = PeakGigaoperations();
      std::printf("%.1f %.1f %.2f\n", peak, type == DataType::bf16 ? Bfloat16Gigaoperations() : peak,
                  GigabytesPerSecond());
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bare primitives: %s\n", error.what());
    return 1;
  }
}
