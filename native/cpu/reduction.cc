// Sums, extremes and products along the middle one of three dimensions; softmax along the last.
//
// The reduced dimension is cut into parts of a fixed size, whose results are combined in order, so that the result does
// not depend on the number of threads. Sums are accumulated in double.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "../kernels.h"
#include "../numbers.h"
#include "parallel.h"

namespace twotower {
namespace {

struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    return a + b;
  }
};

struct Multiply {
  template <typename T>
  T operator()(T a, T b) const {
    return a * b;
  }
};

// Once it has met NaN, it stays NaN.
struct Greater {
  template <typename T>
  T operator()(T a, T b) const {
    return b > a || b != b ? b : a;
  }
};

struct Smaller {
  template <typename T>
  T operator()(T a, T b) const {
    return b < a || b != b ? b : a;
  }
};

constexpr size_t kPartElements = 32768;
constexpr size_t kBlock = 1024;
constexpr size_t kLanes = 32;

// Combines `accumulators[i]`, for `width` adjacent elements, with `rows` rows of x.
template <typename T, typename Accumulator, typename Combine>
void ReduceRows(const T* x, size_t rows, size_t row_stride, size_t width, const Combine& combine,
                Accumulator* __restrict accumulators) {
  for (size_t row = 0; row < rows; row++) {
    const T* __restrict values = x + row * row_stride;
    for (size_t i = 0; i < width; i++) {
      accumulators[i] = combine(accumulators[i], static_cast<Accumulator>(values[i]));
    }
  }
}

// Combines `count` adjacent elements, in as many lanes as a vector has.
template <typename T, typename Accumulator, typename Combine>
Accumulator ReduceContiguous(const T* x, size_t count, Accumulator start, const Combine& combine) {
  Accumulator lanes[kLanes];
  std::fill_n(lanes, kLanes, start);
  const size_t whole = count / kLanes;
  ReduceRows(x, whole, kLanes, kLanes, combine, lanes);
  ReduceRows(x + whole * kLanes, 1, kLanes, count - whole * kLanes, combine, lanes);
  for (size_t i = 1; i < kLanes; i++) lanes[0] = combine(lanes[0], lanes[i]);
  return lanes[0];
}

template <typename T, typename Accumulator, typename Combine, typename Finish>
void ReduceAll(const T* x, T* out, const Extents& e, Accumulator start, const Combine& combine,
               const Finish& finish) {
  const size_t width = std::min(e.inner, kBlock);
  const size_t blocks = (e.inner + kBlock - 1) / kBlock;
  const size_t part_rows = std::max<size_t>(64, kPartElements / width);
  const size_t parts = std::max<size_t>(1, (e.reduced + part_rows - 1) / part_rows);
  std::vector<Accumulator> partial(e.outer * parts * e.inner);
  Parallel(e.outer * parts * blocks, std::min(part_rows, e.reduced) * width,
           [&](size_t begin, size_t end) {
             for (size_t item = begin; item < end; item++) {
               const size_t block = item % blocks;
               const size_t part = item / blocks % parts;
               const size_t outer = item / blocks / parts;
               const size_t first = part * part_rows;
               const size_t rows = std::min(part_rows, e.reduced - std::min(first, e.reduced));
               const T* from = x + (outer * e.reduced + first) * e.inner + block * kBlock;
               Accumulator* to =
                   partial.data() + (outer * parts + part) * e.inner + block * kBlock;
               if (e.inner == 1) {
                 *to = ReduceContiguous(from, rows, start, combine);
               } else {
                 const size_t here = std::min(kBlock, e.inner - block * kBlock);
                 std::fill_n(to, here, start);
                 ReduceRows(from, rows, e.inner, here, combine, to);
               }
             }
           });
  for (size_t outer = 0; outer < e.outer; outer++) {
    Accumulator* first = partial.data() + outer * parts * e.inner;
    for (size_t part = 1; part < parts; part++) {
      for (size_t i = 0; i < e.inner; i++) {
        first[i] = combine(first[i], first[part * e.inner + i]);
      }
    }
    for (size_t i = 0; i < e.inner; i++) out[outer * e.inner + i] = finish(first[i]);
  }
}

template <typename T>
T FromDouble(double value) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(value);
  } else {
    return ToInt32(value);
  }
}

template <typename T>
void ReduceBy(Reduction operation, const T* x, T* out, const Extents& e) {
  using Limits = std::numeric_limits<T>;
  const T lowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  const T highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
  const auto same = [](T value) { return value; };
  switch (operation) {
    case Reduction::kSum:
    case Reduction::kMean: {
      const double divisor = operation == Reduction::kMean ? static_cast<double>(e.reduced) : 1;
      return ReduceAll(x, out, e, 0.0, Add(),
                       [=](double sum) { return FromDouble<T>(sum / divisor); });
    }
    case Reduction::kMax:
      return ReduceAll(x, out, e, lowest, Greater(), same);
    case Reduction::kMin:
      return ReduceAll(x, out, e, highest, Smaller(), same);
    case Reduction::kProd:
      return ReduceAll(x, out, e, 1.0, Multiply(), FromDouble<T>);
  }
}

}  // namespace

void Reduce(Reduction operation, const Extents& e, const Values& x, const Values& out) {
  if (x.type == Type::kFloat32) {
    ReduceBy(operation, x.As<float>(), out.As<float>(), e);
  } else {
    ReduceBy(operation, x.As<int32_t>(), out.As<int32_t>(), e);
  }
}

namespace {

template <typename T>
void ArgMaxOf(const T* x, int32_t* out, const Extents& e) {
  Parallel(e.outer, e.reduced * e.inner, [&](size_t begin, size_t end) {
    for (size_t outer = begin; outer < end; outer++) {
      for (size_t inner = 0; inner < e.inner; inner++) {
        const T* first = x + outer * e.reduced * e.inner + inner;
        size_t greatest = 0;
        for (size_t i = 1; i < e.reduced; i++) {
          if (first[i * e.inner] > first[greatest * e.inner]) greatest = i;
        }
        out[outer * e.inner + inner] = static_cast<int32_t>(greatest);
      }
    }
  });
}

}  // namespace

void ArgMax(const Extents& e, const Values& x, int32_t* out) {
  if (x.type == Type::kFloat32) {
    ArgMaxOf(x.As<float>(), out, e);
  } else {
    ArgMaxOf(x.As<int32_t>(), out, e);
  }
}

namespace {

// log Σ e^x, numerically stable; −∞ if every element is.
double LogSumExp(const float* x, size_t count) {
  const float greatest =
      ReduceContiguous(x, count, -std::numeric_limits<float>::infinity(), Greater());
  if (std::isinf(greatest)) return greatest;
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += std::exp(x[i] - greatest);
  return greatest + std::log(sum);
}

}  // namespace

void Softmax(size_t rows, size_t columns, const float* x, float* out, bool logarithm) {
  Parallel(rows, 16 * columns, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      const float* in = x + row * columns;
      float* result = out + row * columns;
      const double total = LogSumExp(in, columns);
      for (size_t i = 0; i < columns; i++) {
        const auto log_probability = static_cast<float>(in[i] - total);
        result[i] = logarithm ? log_probability : std::exp(log_probability);
      }
    }
  });
}

void SoftmaxCrossEntropy(size_t batch, size_t classes, const float* logits, const int32_t* labels,
                         float* loss, float* gradient) {
  double sum = 0;
  for (size_t row = 0; row < batch; row++) {
    const int32_t label = labels[row];
    if (label < 0 || static_cast<size_t>(label) >= classes) {
      throw RangeError("label " + std::to_string(label) + " is not one of " +
                       std::to_string(classes) + " classes");
    }
    const float* in = logits + row * classes;
    float* result = gradient + row * classes;
    const double total = LogSumExp(in, classes);
    sum += total - in[label];
    for (size_t i = 0; i < classes; i++) {
      const double probability = std::exp(static_cast<float>(in[i] - total));
      result[i] = static_cast<float>((probability - (i == static_cast<size_t>(label) ? 1 : 0)) / batch);
    }
  }
  *loss = static_cast<float>(sum / batch);
}

}  // namespace twotower
