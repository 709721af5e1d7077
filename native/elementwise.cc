// Element-wise functions: of one element of each operand.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "broadcast.h"
#include "kernels.h"
#include "numbers.h"
#include "parallel.h"

namespace twotower {
namespace {

// Cost of a function per element, in elements read or written.
constexpr size_t kCheap = 3;
constexpr size_t kTranscendental = 16;

template <typename In, typename Out, typename Function>
void BinaryLoop(const Broadcast& broadcast, const Values& a, const Values& b, const Values& out,
                size_t cost, const Function& function) {
  const In* left = a.As<In>();
  const In* right = b.As<In>();
  Out* result = out.As<Out>();
  Parallel(broadcast.Count(), cost, [&](size_t begin, size_t end) {
    broadcast.ForEachRow(begin, end, [&](size_t a_offset, size_t a_stride, size_t b_offset,
                                         size_t b_stride, size_t position, size_t length) {
      const In* x = left + a_offset;
      const In* y = right + b_offset;
      Out* z = result + position;
      // The result may be an operand's own array; the pragmas state that iterations are still independent.
      if (a_stride == 1 && b_stride == 1) {
#pragma omp simd
        for (size_t i = 0; i < length; i++) z[i] = function(x[i], y[i]);
      } else if (a_stride == 1) {
        const In same = *y;
#pragma omp simd
        for (size_t i = 0; i < length; i++) z[i] = function(x[i], same);
      } else if (b_stride == 1) {
        const In same = *x;
#pragma omp simd
        for (size_t i = 0; i < length; i++) z[i] = function(same, y[i]);
      } else {
        std::fill_n(z, length, function(*x, *y));
      }
    });
  });
}

// int32 arithmetic wraps around.
template <typename T>
using Wrapping = std::conditional_t<std::is_same_v<T, int32_t>, uint32_t, T>;

template <typename T>
void Arithmetic(int operation, const Broadcast& broadcast, const Values& a, const Values& b,
                const Values& out) {
  using W = Wrapping<T>;
  const auto loop = [&](const auto& function, size_t cost = kCheap) {
    BinaryLoop<T, T>(broadcast, a, b, out, cost, function);
  };
  switch (operation) {
    case 0:
      return loop([](T x, T y) { return static_cast<T>(static_cast<W>(x) + static_cast<W>(y)); });
    case 1:
      return loop([](T x, T y) { return static_cast<T>(static_cast<W>(x) - static_cast<W>(y)); });
    case 2:
      return loop([](T x, T y) { return static_cast<T>(static_cast<W>(x) * static_cast<W>(y)); });
    case 4:
      return loop([](T x, T y) { return x > y || x != x ? x : y; });
    case 5:
      return loop([](T x, T y) { return x < y || x != x ? x : y; });
    case 6:
      return loop([](T x, T y) {
        const W difference = static_cast<W>(x) - static_cast<W>(y);
        return static_cast<T>(difference * difference);
      });
    default:
      break;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (operation == 3) return loop([](float x, float y) { return x / y; });
    return loop([](float x, float y) { return std::pow(x, y); }, kTranscendental);
  } else {
    throw TypeError("div and pow take Float32Arrays");
  }
}

template <typename T>
void Comparison(int operation, const Broadcast& broadcast, const Values& a, const Values& b,
                const Values& out) {
  const auto loop = [&](const auto& function) {
    BinaryLoop<T, uint8_t>(broadcast, a, b, out, kCheap, function);
  };
  switch (operation) {
    case 8:
      return loop([](T x, T y) -> uint8_t { return x == y; });
    case 9:
      return loop([](T x, T y) -> uint8_t { return x != y; });
    case 10:
      return loop([](T x, T y) -> uint8_t { return x > y; });
    case 11:
      return loop([](T x, T y) -> uint8_t { return x >= y; });
    case 12:
      return loop([](T x, T y) -> uint8_t { return x < y; });
    default:
      return loop([](T x, T y) -> uint8_t { return x <= y; });
  }
}

template <typename Function>
void UnaryLoop(const Span<float>& x, float* out, size_t cost, const Function& function) {
  Parallel(x.length, cost, [&](size_t begin, size_t end) {
#pragma omp simd
    for (size_t i = begin; i < end; i++) out[i] = function(x.data[i]);
  });
}

float Softplus(float x) {
  // Above 20, log(1 + e^x) is x in float32.
  return x > 20 ? x : std::log1p(std::exp(x));
}

}  // namespace

napi_value Binary(Arguments& arguments) {
  const int operation = arguments.Choice(
      0, "operation",
      {"add", "sub", "mul", "div", "maximum", "minimum", "squaredDifference", "pow", "equal",
       "notEqual", "greater", "greaterEqual", "less", "lessEqual", "logicalAnd", "logicalOr"});
  const Values a = arguments.AnyValues(1, "a");
  const Integers a_shape = arguments.Shape(2, "aShape");
  const Values b = arguments.AnyValues(3, "b");
  const Integers b_shape = arguments.Shape(4, "bShape");
  const Values out = arguments.AnyValues(5, "out");
  const Integers out_shape = arguments.Shape(6, "outShape");
  CheckLength("a", a.length, a_shape);
  CheckLength("b", b.length, b_shape);
  CheckLength("out", out.length, out_shape);
  CheckSameType("a", a.type, "b", b.type);
  const Broadcast broadcast(a_shape, b_shape, out_shape);
  if (operation < 8) {
    CheckSameType("a", a.type, "out", out.type);
    if (a.type == Type::kBool) throw TypeError("arithmetic takes no Uint8Array");
    if (a.type == Type::kFloat32) {
      Arithmetic<float>(operation, broadcast, a, b, out);
    } else {
      Arithmetic<int32_t>(operation, broadcast, a, b, out);
    }
    return nullptr;
  }
  CheckSameType("out", out.type, "the result of a comparison", Type::kBool);
  if (operation >= 14) {
    CheckSameType("a", a.type, "an operand of logic", Type::kBool);
    if (operation == 14) {
      BinaryLoop<uint8_t, uint8_t>(broadcast, a, b, out, kCheap,
                                   [](uint8_t x, uint8_t y) -> uint8_t { return x && y; });
    } else {
      BinaryLoop<uint8_t, uint8_t>(broadcast, a, b, out, kCheap,
                                   [](uint8_t x, uint8_t y) -> uint8_t { return x || y; });
    }
  } else if (a.type == Type::kFloat32) {
    Comparison<float>(operation, broadcast, a, b, out);
  } else if (a.type == Type::kInt32) {
    Comparison<int32_t>(operation, broadcast, a, b, out);
  } else {
    Comparison<uint8_t>(operation, broadcast, a, b, out);
  }
  return nullptr;
}

napi_value Unary(Arguments& arguments) {
  const int operation = arguments.Choice(
      0, "operation", {"relu",  "relu6",      "step", "leakyRelu", "elu",   "clip",
                       "sigmoid", "tanh",     "softplus", "sqrt",  "rsqrt", "square",
                       "reciprocal", "exp",   "expm1", "log",      "log1p", "neg",
                       "abs",   "sign",       "floor", "ceil",     "round", "sin",
                       "cos"});
  const Span<float> x = arguments.Floats(1, "x");
  float* out = arguments.Floats(2, "out", x.length).data;
  const auto p = static_cast<float>(arguments.Number(3, "parameter0"));
  const auto q = static_cast<float>(arguments.Number(4, "parameter1"));
  const auto cheap = [&](const auto& function) { UnaryLoop(x, out, kCheap, function); };
  const auto costly = [&](const auto& function) { UnaryLoop(x, out, kTranscendental, function); };
  // Comparisons are written so that NaN is kept.
  switch (operation) {
    case 0:
      cheap([](float v) { return Relu(v); });
      break;
    case 1:
      cheap([](float v) { return v < 0 ? 0.f : v > 6 ? 6.f : v; });
      break;
    case 2:
      cheap([p](float v) { return v > 0 ? 1.f : v != v ? v : p; });
      break;
    case 3:
      cheap([p](float v) { return v < 0 ? p * v : v; });
      break;
    case 4:
      costly([](float v) { return v >= 0 ? v : std::expm1(v); });
      break;
    case 5:
      cheap([p, q](float v) { return v < p ? p : v > q ? q : v; });
      break;
    case 6:
      costly([](float v) { return 1.f / (1.f + std::exp(-v)); });
      break;
    case 7:
      costly([](float v) { return std::tanh(v); });
      break;
    case 8:
      costly([](float v) { return Softplus(v); });
      break;
    case 9:
      cheap([](float v) { return std::sqrt(v); });
      break;
    case 10:
      cheap([](float v) { return 1.f / std::sqrt(v); });
      break;
    case 11:
      cheap([](float v) { return v * v; });
      break;
    case 12:
      cheap([](float v) { return 1.f / v; });
      break;
    case 13:
      costly([](float v) { return std::exp(v); });
      break;
    case 14:
      costly([](float v) { return std::expm1(v); });
      break;
    case 15:
      costly([](float v) { return std::log(v); });
      break;
    case 16:
      costly([](float v) { return std::log1p(v); });
      break;
    case 17:
      cheap([](float v) { return -v; });
      break;
    case 18:
      cheap([](float v) { return std::fabs(v); });
      break;
    case 19:
      cheap([](float v) { return v > 0 ? 1.f : v < 0 ? -1.f : 0.f; });
      break;
    case 20:
      cheap([](float v) { return std::floor(v); });
      break;
    case 21:
      cheap([](float v) { return std::ceil(v); });
      break;
    case 22:
      // Halves round to even.
      cheap([](float v) { return std::nearbyint(v); });
      break;
    case 23:
      costly([](float v) { return std::sin(v); });
      break;
    default:
      costly([](float v) { return std::cos(v); });
  }
  return nullptr;
}

napi_value ReluGradient(Arguments& arguments) {
  const Span<float> dy = arguments.Floats(0, "dy");
  const float* y = arguments.Floats(1, "y", dy.length).data;
  float* dx = arguments.Floats(2, "dx", dy.length).data;
  // Load dy unconditionally: a conditional load prevents vectorization, and the branch is unpredictable.
  Parallel(dy.length, kCheap, [given = dy.data, y, dx](size_t begin, size_t end) {
#pragma omp simd
    for (size_t i = begin; i < end; i++) {
      const float gradient = given[i];
      dx[i] = y[i] <= 0 ? 0.f : gradient;
    }
  });
  return nullptr;
}

napi_value AddToChannels(Arguments& arguments) {
  const Span<float> all = arguments.Floats(0, "all");
  const Span<float> term = arguments.Floats(1, "term");
  float* out = arguments.Floats(2, "out", term.length).data;
  const auto width = static_cast<size_t>(arguments.Integer(3, "channels", 1, INT32_MAX));
  const auto first = static_cast<size_t>(arguments.Integer(4, "first", 0, INT32_MAX));
  const size_t rows = all.length / width;
  const size_t channels = rows == 0 ? 0 : term.length / rows;
  if (rows * width != all.length || rows * channels != term.length || first + channels > width) {
    throw RangeError("all has " + std::to_string(all.length) + " elements and term " +
                     std::to_string(term.length) + ", which are no rows of " +
                     std::to_string(width) + " channels and of some of them from " +
                     std::to_string(first) + " on");
  }
  Parallel(rows, kCheap * channels, [=](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      const float* own = all.data + row * width + first;
      const float* given = term.data + row * channels;
      float* sum = out + row * channels;
#pragma omp simd
      for (size_t c = 0; c < channels; c++) sum[c] = own[c] + given[c];
    }
  });
  return nullptr;
}

namespace {

// Copies bits, so that one loop serves all types of one size.
template <typename Element>
void SelectLoop(const uint8_t* condition, const Values& a, const Values& b, const Values& out) {
  const Element* x = a.As<Element>();
  const Element* y = b.As<Element>();
  Element* z = out.As<Element>();
  Parallel(out.length, kCheap, [&](size_t begin, size_t end) {
#pragma omp simd
    for (size_t i = begin; i < end; i++) z[i] = condition[i] != 0 ? x[i] : y[i];
  });
}

template <typename From, typename To, typename Convert>
void CastLoop(const Values& x, const Values& out, const Convert& convert) {
  const From* from = x.As<From>();
  To* to = out.As<To>();
  Parallel(x.length, kCheap, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) to[i] = convert(from[i]);
  });
}

template <typename From>
void CastFrom(const Values& x, const Values& out) {
  switch (out.type) {
    case Type::kFloat32:
      return CastLoop<From, float>(x, out, [](From v) { return static_cast<float>(v); });
    case Type::kInt32:
      return CastLoop<From, int32_t>(x, out, [](From v) { return ToInt32(v); });
    case Type::kBool:
      return CastLoop<From, uint8_t>(x, out, [](From v) -> uint8_t { return v != 0; });
  }
}

template <typename Element>
void FillLoop(const Values& out, Element value) {
  Parallel(out.length, 1, [&](size_t begin, size_t end) {
    std::fill(out.As<Element>() + begin, out.As<Element>() + end, value);
  });
}

}  // namespace

napi_value Select(Arguments& arguments) {
  const Span<uint8_t> condition = arguments.Bools(0, "condition");
  const Values a = arguments.AnyValues(1, "a");
  const Values b = arguments.AnyValues(2, "b");
  const Values out = arguments.AnyValues(3, "out");
  CheckSameType("a", a.type, "b", b.type);
  CheckSameType("a", a.type, "out", out.type);
  CheckSameLength("a", a.length, "condition", condition.length);
  CheckSameLength("b", b.length, "condition", condition.length);
  CheckSameLength("out", out.length, "condition", condition.length);
  if (a.type == Type::kBool) {
    SelectLoop<uint8_t>(condition.data, a, b, out);
  } else if (a.type == Type::kInt32) {
    SelectLoop<int32_t>(condition.data, a, b, out);
  } else {
    SelectLoop<float>(condition.data, a, b, out);
  }
  return nullptr;
}

napi_value Fill(Arguments& arguments) {
  const Values out = arguments.AnyValues(0, "out");
  const double value = arguments.Number(1, "value");
  switch (out.type) {
    case Type::kFloat32:
      FillLoop(out, static_cast<float>(value));
      break;
    case Type::kInt32:
      FillLoop(out, ToInt32(value));
      break;
    case Type::kBool:
      FillLoop(out, static_cast<uint8_t>(ToInt32(value)));
      break;
  }
  return nullptr;
}

napi_value Cast(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Values out = arguments.AnyValues(1, "out");
  CheckSameLength("x", x.length, "out", out.length);
  switch (x.type) {
    case Type::kFloat32:
      CastFrom<float>(x, out);
      break;
    case Type::kInt32:
      CastFrom<int32_t>(x, out);
      break;
    case Type::kBool:
      CastFrom<uint8_t>(x, out);
      break;
  }
  return nullptr;
}

}  // namespace twotower
