// A convolution, its ReLU and the max pooling of what that gives, a few images at a time: what the convolution gives is the
// largest array of a network, and lies nowhere as a whole. Of it a byte for each window is kept, which says where its maximum
// was.

#include <algorithm>
#include <cstring>
#include <limits>

#include "../kernels.h"
#include "convolution_algorithm.h"
#include "fft_vector.h"
#include "parallel.h"
#include "pool_windows.h"
#include "scratch.h"

namespace twotower {
namespace {

using fft::kLanes;
using fft::Vector;

typedef int32_t IntVector __attribute__((vector_size(fft::kVectorBytes)));
typedef uint8_t ByteVector __attribute__((vector_size(kLanes)));

// Of a window in which the ReLU gave nothing but 0.
constexpr int kNowhere = kMaxWindowPositions;

size_t ImageOf(const Integers& shape) { return ProductOf({shape[1], shape[2], shape[3]}); }

// Images whose results a core's second-level cache holds, or nearly. An algorithm through the frequency domain takes more: it
// transforms the filters anew each time.
int64_t ImagesTogether(const Geometry& g, Precision precision) {
  constexpr size_t kDirect = size_t{2} << 20;
  constexpr size_t kOther = size_t{8} << 20;
  const auto is_direct = [&](Pass pass) {
    return ChoiceOf(pass, g, precision).algorithm == Algorithm::kDirect;
  };
  const bool all_direct = is_direct(Pass::kForward) && is_direct(Pass::kFilterGradient);
  const size_t image = ImageOf(g.OutShape()) * sizeof(float);
  const auto fitting = static_cast<int64_t>((all_direct ? kDirect : kOther) / image);
  // Transforms take two images as one.
  return std::max<int64_t>(2, fitting / 2 * 2);
}

// Calls `body(first, convolution, pool)` for images from `first` on, as many as the geometries say.
template <typename Body>
void ForEachPart(const Geometry& g, const Geometry& pool, Precision precision, const Body& body) {
  const int64_t together = ImagesTogether(g, precision);
  for (int64_t first = 0; first < g.batch; first += together) {
    Geometry part = g;
    Geometry pool_of_part = pool;
    part.batch = pool_of_part.batch = std::min(together, g.batch - first);
    body(first, part, pool_of_part);
  }
}

void StoreBytes(uint8_t* to, IntVector values, int count) {
  const ByteVector bytes = __builtin_convertvector(values, ByteVector);
  std::memcpy(to, &bytes, count);
}

IntVector LoadBytes(const uint8_t* from, int count) {
  ByteVector bytes{};
  std::memcpy(&bytes, from, count);
  return __builtin_convertvector(bytes, IntVector);
}

// Calls `body(out, in, rows, columns, first, count)` for each vector of channels of each window of one row.
template <typename Body>
void ForEachVectorOfRow(const Geometry& g, int64_t row, const Body& body) {
  const Window rows = RowsAt(g, row);
  for (int64_t column = 0; column < g.out_width; column++) {
    const Window columns = ColumnsAt(g, column);
    for (int64_t first = 0; first < g.in_channels; first += kLanes) {
      const auto count = static_cast<int>(std::min<int64_t>(kLanes, g.in_channels - first));
      body((row * g.out_width + column) * g.in_channels + first, rows, columns, first, count);
    }
  }
}

// Calls `body(position, at)` for each position of a window: its number, and the index of its channel `first`.
template <typename Body>
void ForEachPosition(const Geometry& g, const Window& rows, const Window& columns, int64_t first,
                     const Body& body) {
  int position = 0;
  for (int64_t r = rows.begin; r < rows.end; r += g.dilation_height) {
    for (int64_t c = columns.begin; c < columns.end; c += g.dilation_width) {
      body(position++, (r * g.in_width + c) * g.in_channels + first);
    }
  }
}

// The first greatest of each window of what a ReLU gave, and its position.
void MaxPoolWithPositions(const Geometry& g, const float* x, float* out, uint8_t* positions) {
  const size_t in_image = ImageOf(g.InShape());
  const size_t out_image = ImageOf(g.OutShape());
  const size_t cost = g.out_width * g.out_channels * g.filter_height * g.filter_width;
  Parallel(g.batch * g.out_height, cost, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const size_t image = item / g.out_height;
      const float* in = x + image * in_image;
      ForEachVectorOfRow(g, item % g.out_height, [&](int64_t index, const Window& rows,
                                                     const Window& columns, int64_t first, int count) {
        Vector greatest = Vector{} - std::numeric_limits<float>::infinity();
        IntVector where{};
        ForEachPosition(g, rows, columns, first, [&](int position, int64_t at) {
          const Vector value = fft::LoadPart(in + at, count);
          // The first NaN is greater than all else.
          const auto is_greater = (value > greatest) | ((value != value) & (greatest == greatest));
          greatest = is_greater ? value : greatest;
          where = is_greater ? IntVector{} + position : where;
        });
        where = greatest <= 0 ? IntVector{} + kNowhere : where;
        fft::StorePart(out + image * out_image + index, greatest, count);
        StoreBytes(positions + image * out_image + index, where, count);
      });
    }
  });
}

// The gradient by what the ReLU was given.
void GradientFromPositions(const Geometry& g, const float* dy, const uint8_t* positions, float* dx) {
  const size_t in_image = ImageOf(g.InShape());
  const size_t out_image = ImageOf(g.OutShape());
  const size_t cost = out_image * g.filter_height * g.filter_width;
  // One thread computes the whole gradient of an image, because windows overlap.
  Parallel(g.batch, cost, [&](size_t begin, size_t end) {
    for (size_t image = begin; image < end; image++) {
      float* gradient = dx + image * in_image;
      std::fill_n(gradient, in_image, 0.f);
      for (int64_t row = 0; row < g.out_height; row++) {
        ForEachVectorOfRow(g, row, [&](int64_t index, const Window& rows, const Window& columns,
                                       int64_t first, int count) {
          const Vector given = fft::LoadPart(dy + image * out_image + index, count);
          const IntVector where = LoadBytes(positions + image * out_image + index, count);
          ForEachPosition(g, rows, columns, first, [&](int position, int64_t at) {
            const Vector before = fft::LoadPart(gradient + at, count);
            fft::StorePart(gradient + at, before + (where == position ? given : Vector{}), count);
          });
        });
      }
    }
  });
}

void Add(size_t count, const float* terms, float* sums) {
  for (size_t i = 0; i < count; i++) sums[i] += terms[i];
}

}  // namespace

void Conv2DMaxPool(const Geometry& g, const Geometry& pool, const float* x, const float* filter,
                   const float* bias, float* out, uint8_t* positions, Precision precision) {
  if (ProductOf(pool.OutShape()) == 0) return;
  ForEachPart(g, pool, precision, [&](int64_t first, const Geometry& part, const Geometry& pooled) {
    float* between = ScratchFloats(ScratchPurpose::kBetween, ProductOf(part.OutShape()));
    Conv2D(part, x + first * ImageOf(g.InShape()), filter, bias, between, Activation::kRelu,
           precision);
    const size_t at = first * ImageOf(pool.OutShape());
    MaxPoolWithPositions(pooled, between, out + at, positions + at);
  });
}

void Conv2DMaxPoolBackpropFilter(const Geometry& g, const Geometry& pool, const float* x,
                                 const float* dy, const uint8_t* positions, float* d_filter,
                                 float* d_bias, Precision precision) {
  const size_t weights = ProductOf(g.FilterShape());
  std::fill_n(d_filter, weights, 0.f);
  std::fill_n(d_bias, g.out_channels, 0.f);
  if (ProductOf(pool.OutShape()) == 0) return;
  ForEachPart(g, pool, precision, [&](int64_t first, const Geometry& part, const Geometry& pooled) {
    float* between = ScratchFloats(ScratchPurpose::kBetween, ProductOf(part.OutShape()));
    float* terms = ScratchFloats(ScratchPurpose::kTermsOfPart, weights + g.out_channels);
    const size_t at = first * ImageOf(pool.OutShape());
    GradientFromPositions(pooled, dy + at, positions + at, between);
    Conv2DBackpropFilter(part, x + first * ImageOf(g.InShape()), between, terms, terms + weights,
                         precision);
    Add(weights, terms, d_filter);
    Add(g.out_channels, terms + weights, d_bias);
  });
}

}  // namespace twotower
