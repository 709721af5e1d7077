// Functions of one operand.

#include <cmath>

#include "../kernels.h"
#include "costs.h"
#include "../numbers.h"
#include "parallel.h"

namespace twotower {
namespace {

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

void Unary(UnaryOperation operation, const Span<float>& x, float* out, float p, float q) {
  const auto cheap = [&](const auto& function) { UnaryLoop(x, out, kCheap, function); };
  const auto costly = [&](const auto& function) { UnaryLoop(x, out, kTranscendental, function); };
  // Comparisons are written so that NaN is kept.
  switch (operation) {
    case UnaryOperation::kRelu:
      cheap([](float v) { return Relu(v); });
      break;
    case UnaryOperation::kRelu6:
      cheap([](float v) { return v < 0 ? 0.f : v > 6 ? 6.f : v; });
      break;
    case UnaryOperation::kStep:
      cheap([p](float v) { return v > 0 ? 1.f : v != v ? v : p; });
      break;
    case UnaryOperation::kLeakyRelu:
      cheap([p](float v) { return v < 0 ? p * v : v; });
      break;
    case UnaryOperation::kElu:
      costly([](float v) { return v >= 0 ? v : std::expm1(v); });
      break;
    case UnaryOperation::kClip:
      cheap([p, q](float v) { return v < p ? p : v > q ? q : v; });
      break;
    case UnaryOperation::kSigmoid:
      costly([](float v) { return 1.f / (1.f + std::exp(-v)); });
      break;
    case UnaryOperation::kTanh:
      costly([](float v) { return std::tanh(v); });
      break;
    case UnaryOperation::kSoftplus:
      costly([](float v) { return Softplus(v); });
      break;
    case UnaryOperation::kSqrt:
      cheap([](float v) { return std::sqrt(v); });
      break;
    case UnaryOperation::kRsqrt:
      cheap([](float v) { return 1.f / std::sqrt(v); });
      break;
    case UnaryOperation::kSquare:
      cheap([](float v) { return v * v; });
      break;
    case UnaryOperation::kReciprocal:
      cheap([](float v) { return 1.f / v; });
      break;
    case UnaryOperation::kExp:
      costly([](float v) { return std::exp(v); });
      break;
    case UnaryOperation::kExpm1:
      costly([](float v) { return std::expm1(v); });
      break;
    case UnaryOperation::kLog:
      costly([](float v) { return std::log(v); });
      break;
    case UnaryOperation::kLog1p:
      costly([](float v) { return std::log1p(v); });
      break;
    case UnaryOperation::kNeg:
      cheap([](float v) { return -v; });
      break;
    case UnaryOperation::kAbs:
      cheap([](float v) { return std::fabs(v); });
      break;
    case UnaryOperation::kSign:
      cheap([](float v) { return v > 0 ? 1.f : v < 0 ? -1.f : 0.f; });
      break;
    case UnaryOperation::kFloor:
      cheap([](float v) { return std::floor(v); });
      break;
    case UnaryOperation::kCeil:
      cheap([](float v) { return std::ceil(v); });
      break;
    case UnaryOperation::kRound:
      // Halves round to even.
      cheap([](float v) { return std::nearbyint(v); });
      break;
    case UnaryOperation::kSin:
      costly([](float v) { return std::sin(v); });
      break;
    case UnaryOperation::kCos:
      costly([](float v) { return std::cos(v); });
  }
}

}  // namespace twotower
