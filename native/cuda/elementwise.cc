// Launches the kernels of kernels/elementwise.cu.

#include "../kernels.h"
#include "launch.h"

namespace twotower {
namespace {

using cuda::LaunchFor;

cuda::Broadcasting BroadcastingOf(const Broadcast& broadcast) {
  cuda::Broadcasting result{};
  result.rank = static_cast<int>(broadcast.Rank());
  for (size_t d = 0; d < broadcast.Rank(); d++) {
    result.sizes[d] = broadcast.Size(d);
    result.a_strides[d] = broadcast.AStride(d);
    result.b_strides[d] = broadcast.BStride(d);
  }
  return result;
}

const char* const kCasts[3][3] = {
    {"CastFloat32ToFloat32", "CastFloat32ToInt32", "CastFloat32ToBool"},
    {"CastInt32ToFloat32", "CastInt32ToInt32", "CastInt32ToBool"},
    {"CastBoolToFloat32", "CastBoolToInt32", "CastBoolToBool"}};

}  // namespace

void Binary(BinaryOperation operation, const Broadcast& broadcast, const Values& a,
            const Values& b, const Values& out) {
  const bool is_arithmetic = operation < BinaryOperation::kEqual;
  const char* kernel = a.type == Type::kFloat32
                           ? (is_arithmetic ? "BinaryFloat32" : "CompareFloat32")
                       : a.type == Type::kInt32 ? (is_arithmetic ? "BinaryInt32" : "CompareInt32")
                                                : "CompareBool";
  const size_t count = broadcast.Count();
  LaunchFor(count, kernel, static_cast<int>(operation), BroadcastingOf(broadcast), count, a.data,
            b.data, out.data);
}

void Unary(UnaryOperation operation, const Span<float>& x, float* out, float p, float q) {
  LaunchFor(x.length, "Unary", static_cast<int>(operation), x.length, x.data, out, p, q);
}

void ReluGradient(size_t length, const float* dy, const float* y, float* dx) {
  LaunchFor(length, "ReluGradient", length, dy, y, dx);
}

void AddToChannels(size_t rows, size_t width, size_t first, size_t channels, const float* all,
                   const float* term, float* out) {
  const size_t count = rows * channels;
  LaunchFor(count, "AddToChannels", count, width, first, channels, all, term, out);
}

void Select(const uint8_t* condition, const Values& a, const Values& b, const Values& out) {
  const char* kernel = a.type == Type::kBool ? "SelectBytes" : "SelectWords";
  LaunchFor(out.length, kernel, out.length, condition, a.data, b.data, out.data);
}

void Fill(const Values& out, double value) {
  const uint32_t bits = cuda::BitsOf(value, out.type);
  if (out.type == Type::kBool) {
    LaunchFor(out.length, "FillBytes", out.length, static_cast<uint8_t>(bits), out.data);
  } else {
    LaunchFor(out.length, "FillWords", out.length, bits, out.data);
  }
}

void Cast(const Values& x, const Values& out) {
  const char* kernel = kCasts[static_cast<int>(x.type)][static_cast<int>(out.type)];
  LaunchFor(x.length, kernel, x.length, x.data, out.data);
}

}  // namespace twotower
