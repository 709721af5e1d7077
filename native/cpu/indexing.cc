// Selects or places elements by index: gathering, one-hot rows, tiling.

#include <algorithm>
#include <cstring>
#include <string>

#include "../kernels.h"
#include "parallel.h"

namespace twotower {
namespace {

template <typename Element>
void OneHotRows(const Span<int32_t>& indices, Element* out, int64_t depth, Element on,
                Element off) {
  Parallel(indices.length, depth, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      Element* row = out + i * depth;
      std::fill_n(row, depth, off);
      const int32_t index = indices.data[i];
      if (index >= 0 && index < depth) row[index] = on;
    }
  });
}

}  // namespace

void Gather(const Extents& e, const Values& x, const Span<int32_t>& indices, const Values& out) {
  for (size_t i = 0; i < indices.length; i++) {
    if (indices.data[i] < 0 || indices.data[i] >= static_cast<int64_t>(e.reduced)) {
      throw RangeError("index " + std::to_string(indices.data[i]) + " is not one of " +
                       std::to_string(e.reduced));
    }
  }
  if (out.length == 0) return;
  const size_t count = indices.length;
  const size_t bytes = e.inner * x.ElementBytes();
  const char* from = x.As<char>();
  char* to = out.As<char>();
  Parallel(e.outer * count, 2 * e.inner, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      const size_t outer = item / count;
      const size_t index = indices.data[item % count];
      std::memcpy(to + item * bytes, from + (outer * e.reduced + index) * bytes, bytes);
    }
  });
}

void OneHot(const Span<int32_t>& indices, int64_t depth, double on, double off, const Values& out) {
  switch (out.type) {
    case Type::kFloat32:
      OneHotRows(indices, out.As<float>(), depth, static_cast<float>(on),
                 static_cast<float>(off));
      break;
    case Type::kInt32:
      OneHotRows(indices, out.As<int32_t>(), depth, static_cast<int32_t>(on),
                 static_cast<int32_t>(off));
      break;
    case Type::kBool:
      OneHotRows<uint8_t>(indices, out.As<uint8_t>(), depth, on != 0, off != 0);
  }
}

void Tile(const Integers& shape, const Integers& times, const Values& x, const Values& out) {
  Integers tiled = shape;
  for (size_t d = 0; d < shape.size(); d++) tiled[d] *= times[d];
  const int64_t row = shape.empty() ? 1 : shape.back();
  const int64_t row_times = shape.empty() ? 1 : times.back();
  const size_t bytes = row * x.ElementBytes();
  const char* from = x.As<char>();
  char* to = out.As<char>();
  Parallel(out.length / (row * row_times), row * row_times, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; item++) {
      size_t rest = item;
      size_t x_row = 0;
      size_t stride = 1;
      for (size_t d = shape.empty() ? 0 : shape.size() - 1; d-- > 0;) {
        x_row += rest % tiled[d] % shape[d] * stride;
        rest /= tiled[d];
        stride *= shape[d];
      }
      for (int64_t copy = 0; copy < row_times; copy++) {
        std::memcpy(to + (item * row_times + copy) * bytes, from + x_row * bytes, bytes);
      }
    }
  });
}

}  // namespace twotower
