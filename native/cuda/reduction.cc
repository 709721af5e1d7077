// Launches the kernels of kernels/reduction.cu.

#include <algorithm>
#include <limits>

#include "../kernels.h"
#include "launch.h"

namespace twotower {
namespace {

using cuda::kTileSide;
using cuda::LaunchBlocks;
using cuda::LaunchFor;
using cuda::Scratch;

// Parts into which the reduced dimension is cut. Few enough for one thread to combine them, many enough to fill the device.
size_t PartsOf(const Extents& e) {
  constexpr size_t kMost = 64;
  const size_t least_rows = e.inner == 1 ? 8192 : 256;
  return std::clamp<size_t>(e.reduced / least_rows, 1, kMost);
}

// What the reduction of no elements gives.
double StartOf(Reduction operation, Type type) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  using Int32 = std::numeric_limits<int32_t>;
  const bool is_float = type == Type::kFloat32;
  switch (operation) {
    case Reduction::kMax:
      return is_float ? -kInfinity : Int32::lowest();
    case Reduction::kMin:
      return is_float ? kInfinity : Int32::max();
    case Reduction::kProd:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

void Reduce(Reduction operation, const Extents& e, const Values& x, const Values& out) {
  const bool is_float = x.type == Type::kFloat32;
  const auto code = static_cast<int>(operation);
  const double start = StartOf(operation, x.type);
  const double divisor = operation == Reduction::kMean ? static_cast<double>(e.reduced) : 1;
  const size_t parts = PartsOf(e);
  const Scratch scratch(e.outer * parts * e.inner * sizeof(double));
  auto* partial = scratch.As<double>();
  if (e.inner == 1) {
    const size_t items = e.outer * parts;
    LaunchBlocks(items, is_float ? "ReduceRowsFloat32" : "ReduceRowsInt32", code, start, items,
                 e.reduced, parts, x.data, partial);
  } else {
    const size_t items = e.outer * parts * ((e.inner + kTileSide - 1) / kTileSide);
    LaunchBlocks(items, is_float ? "ReduceColumnsFloat32" : "ReduceColumnsInt32", code, start,
                 items, e.reduced, e.inner, parts, x.data, partial);
  }
  const size_t count = e.outer * e.inner;
  LaunchFor(count, is_float ? "CombinePartsFloat32" : "CombinePartsInt32", code, count, e.inner,
            parts, divisor, partial, out.data);
}

void ArgMax(const Extents& e, const Values& x, int32_t* out) {
  const size_t count = e.outer * e.inner;
  LaunchBlocks(count, x.type == Type::kFloat32 ? "ArgMaxFloat32" : "ArgMaxInt32", count, e.reduced,
               e.inner, x.data, out);
}

void Softmax(size_t rows, size_t columns, const float* x, float* out, bool logarithm) {
  LaunchBlocks(rows, "Softmax", rows, columns, x, out, logarithm);
}

void SoftmaxCrossEntropy(size_t batch, size_t classes, const float* logits, const int32_t* labels,
                         float* loss, float* gradient) {
  const Scratch scratch(batch * sizeof(double));
  auto* losses = scratch.As<double>();
  LaunchBlocks(batch, "CrossEntropyOfRows", batch, classes, logits, labels, losses, gradient);
  LaunchBlocks(1, "MeanLoss", batch, losses, loss);
}

}  // namespace twotower
