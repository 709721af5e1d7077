// Bindings of functions that move values, by position or by index, and of images.

#include <algorithm>
#include <climits>
#include <string>

#include "bindings.h"
#include "kernels.h"

namespace twotower::bindings {
namespace {

void CheckBox(const char* name, const Integers& shape, const Integers& start,
              const Integers& size) {
  if (start.size() != shape.size() || size.size() != shape.size()) {
    throw RangeError(std::string(name) + "Shape, its start and size must have one length");
  }
  for (size_t d = 0; d < shape.size(); d++) {
    if (start[d] > shape[d] - size[d]) {
      throw RangeError("the box does not lie inside " + std::string(name));
    }
  }
}

}  // namespace

napi_value Transpose(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Values out = arguments.AnyValues(1, "out");
  const Integers shape = arguments.Shape(2, "shape");
  const Integers permutation = arguments.Sizes(3, "permutation", shape.size());
  CheckLength("x", x.length, shape);
  CheckSameType("x", x.type, "out", out.type);
  CheckSameLength("x", x.length, "out", out.length);
  Integers sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  for (size_t d = 0; d < sorted.size(); d++) {
    if (sorted[d] != static_cast<int64_t>(d)) {
      throw RangeError("permutation must hold each dimension once");
    }
  }
  if (x.length > 0) twotower::Transpose(shape, permutation, x, out);
  return nullptr;
}

napi_value CopyBox(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Values out = arguments.AnyValues(3, "out");
  const Box box{arguments.Shape(1, "xShape"), arguments.Shape(2, "xStart"),
                arguments.Shape(4, "outShape"), arguments.Shape(5, "outStart"),
                arguments.Shape(6, "size")};
  CheckLength("x", x.length, box.x_shape);
  CheckLength("out", out.length, box.out_shape);
  CheckSameType("x", x.type, "out", out.type);
  CheckBox("x", box.x_shape, box.x_start, box.size);
  CheckBox("out", box.out_shape, box.out_start, box.size);
  if (ProductOf(box.size) > 0) twotower::CopyBox(box, x, out);
  return nullptr;
}

napi_value Gather(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Span<int32_t> indices = arguments.Int32s(1, "indices");
  const Values out = arguments.AnyValues(2, "out");
  const Integers sizes = arguments.Sizes(3, "sizes", 3);
  CheckLength("x", x.length, sizes);
  CheckLength("out", out.length, {sizes[0], static_cast<int64_t>(indices.length), sizes[2]});
  CheckSameType("x", x.type, "out", out.type);
  const Extents extents{static_cast<size_t>(sizes[0]), static_cast<size_t>(sizes[1]),
                        static_cast<size_t>(sizes[2])};
  twotower::Gather(extents, x, indices, out);
  return nullptr;
}

napi_value OneHot(Arguments& arguments) {
  const Span<int32_t> indices = arguments.Int32s(0, "indices");
  const Values out = arguments.AnyValues(1, "out");
  const int64_t depth = arguments.Integer(2, "depth", 1, INT32_MAX);
  const double on = arguments.Number(3, "onValue");
  const double off = arguments.Number(4, "offValue");
  CheckLength("out", out.length, {static_cast<int64_t>(indices.length), depth});
  twotower::OneHot(indices, depth, on, off, out);
  return nullptr;
}

napi_value Tile(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Values out = arguments.AnyValues(1, "out");
  const Integers shape = arguments.Shape(2, "shape");
  const Integers times = arguments.Sizes(3, "times", shape.size());
  Integers tiled = shape;
  for (size_t d = 0; d < shape.size(); d++) {
    tiled[d] = static_cast<int64_t>(ProductOf({shape[d], times[d]}));
  }
  CheckLength("x", x.length, shape);
  CheckLength("out", out.length, tiled);
  CheckSameType("x", x.type, "out", out.type);
  if (out.length > 0) twotower::Tile(shape, times, x, out);
  return nullptr;
}

napi_value ImagesFromBytes(Arguments& arguments) {
  const Span<uint8_t> bytes = arguments.Bools(0, "bytes");
  const Span<float> table = arguments.Floats(1, "table");
  float* out = arguments.Floats(2, "out", bytes.length).data;
  constexpr size_t kByteValues = 256;
  const size_t channels = table.length / kByteValues;
  if (channels == 0 || table.length % kByteValues != 0 || bytes.length % channels != 0) {
    throw RangeError("no pixels of " + std::to_string(channels) + " channels");
  }
  twotower::ImagesFromBytes(bytes.length / channels, channels, bytes.data, table.data, out);
  return nullptr;
}

napi_value ResizeBilinear(Arguments& arguments) {
  // [batch, inHeight, inWidth, outHeight, outWidth, channels]
  const Integers sizes = arguments.Sizes(2, "sizes", 6);
  const Resizing r{sizes[0],
                   sizes[1],
                   sizes[2],
                   sizes[3],
                   sizes[4],
                   sizes[5],
                   arguments.Boolean(3, "alignCorners"),
                   arguments.Boolean(4, "halfPixelCenters")};
  const Span<float> x =
      arguments.Floats(0, "x", ProductOf({r.batch, r.in_height, r.in_width, r.channels}));
  const Span<float> out =
      arguments.Floats(1, "out", ProductOf({r.batch, r.out_height, r.out_width, r.channels}));
  if (out.length == 0) return nullptr;
  if (x.length == 0) throw RangeError("x is empty and out is not");
  twotower::ResizeBilinear(r, x.data, out.data);
  return nullptr;
}

}  // namespace twotower::bindings
