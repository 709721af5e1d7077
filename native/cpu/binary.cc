// Functions of two operands, with broadcasting.

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "../kernels.h"
#include "costs.h"
#include "parallel.h"

namespace twotower {
namespace {

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
void Arithmetic(BinaryOperation operation, const Broadcast& broadcast, const Values& a, const Values& b,
                const Values& out) {
  using W = Wrapping<T>;
  const auto loop = [&](const auto& function, size_t cost = kCheap) {
    BinaryLoop<T, T>(broadcast, a, b, out, cost, function);
  };
  switch (operation) {
    case BinaryOperation::kAdd:
      return loop([](T x, T y) { return static_cast<T>(static_cast<W>(x) + static_cast<W>(y)); });
    case BinaryOperation::kSub:
      return loop([](T x, T y) { return static_cast<T>(static_cast<W>(x) - static_cast<W>(y)); });
    case BinaryOperation::kMul:
      return loop([](T x, T y) { return static_cast<T>(static_cast<W>(x) * static_cast<W>(y)); });
    case BinaryOperation::kMaximum:
      return loop([](T x, T y) { return x > y || x != x ? x : y; });
    case BinaryOperation::kMinimum:
      return loop([](T x, T y) { return x < y || x != x ? x : y; });
    case BinaryOperation::kSquaredDifference:
      return loop([](T x, T y) {
        const W difference = static_cast<W>(x) - static_cast<W>(y);
        return static_cast<T>(difference * difference);
      });
    default:
      break;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (operation == BinaryOperation::kDiv) return loop([](float x, float y) { return x / y; });
    return loop([](float x, float y) { return std::pow(x, y); }, kTranscendental);
  }
}

template <typename T>
void Comparison(BinaryOperation operation, const Broadcast& broadcast, const Values& a, const Values& b,
                const Values& out) {
  const auto loop = [&](const auto& function) {
    BinaryLoop<T, uint8_t>(broadcast, a, b, out, kCheap, function);
  };
  switch (operation) {
    case BinaryOperation::kEqual:
      return loop([](T x, T y) -> uint8_t { return x == y; });
    case BinaryOperation::kNotEqual:
      return loop([](T x, T y) -> uint8_t { return x != y; });
    case BinaryOperation::kGreater:
      return loop([](T x, T y) -> uint8_t { return x > y; });
    case BinaryOperation::kGreaterEqual:
      return loop([](T x, T y) -> uint8_t { return x >= y; });
    case BinaryOperation::kLess:
      return loop([](T x, T y) -> uint8_t { return x < y; });
    default:
      return loop([](T x, T y) -> uint8_t { return x <= y; });
  }
}

}  // namespace

void Binary(BinaryOperation operation, const Broadcast& broadcast, const Values& a,
            const Values& b, const Values& out) {
  if (operation < BinaryOperation::kEqual) {
    if (a.type == Type::kFloat32) {
      Arithmetic<float>(operation, broadcast, a, b, out);
    } else {
      Arithmetic<int32_t>(operation, broadcast, a, b, out);
    }
  } else if (operation == BinaryOperation::kLogicalAnd) {
    BinaryLoop<uint8_t, uint8_t>(broadcast, a, b, out, kCheap,
                                 [](uint8_t x, uint8_t y) -> uint8_t { return x && y; });
  } else if (operation == BinaryOperation::kLogicalOr) {
    BinaryLoop<uint8_t, uint8_t>(broadcast, a, b, out, kCheap,
                                 [](uint8_t x, uint8_t y) -> uint8_t { return x || y; });
  } else if (a.type == Type::kFloat32) {
    Comparison<float>(operation, broadcast, a, b, out);
  } else if (a.type == Type::kInt32) {
    Comparison<int32_t>(operation, broadcast, a, b, out);
  } else {
    Comparison<uint8_t>(operation, broadcast, a, b, out);
  }
}

}  // namespace twotower
