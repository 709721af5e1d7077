// Makes the network's input on the device from the bytes of a batch, by the kernel of kernels/images.cu, and brings them there.

#include "images.h"

#include "launch.h"

namespace twotower::cuda {
namespace {

constexpr size_t kByteValues = 256;
constexpr int64_t kColours = 3;

bool IsNull(const Arguments& arguments, size_t index) {
  napi_valuetype type;
  napi_typeof(arguments.env(), arguments[index], &type);
  return type == napi_null;
}

// For each of some positions the input positions that it is made of, as many integers for each.
struct Taps {
  const int32_t* data = nullptr;
  int stride = 0;
};

Taps TapsFrom(const Arguments& arguments, size_t index, const char* name, int64_t positions) {
  const Span<int32_t> span = arguments.Int32s(index, name);
  const auto count = static_cast<size_t>(positions);
  if (count == 0 || span.length < 2 * count || span.length % count != 0) {
    throw RangeError(std::string(name) + " must be of " + std::to_string(count) + " positions");
  }
  return {span.data, static_cast<int>(span.length / count)};
}

}  // namespace

napi_value ImagesFromViews(Arguments& arguments) {
  const Integers sizes = arguments.Sizes(7, "sizes", 7);
  const int64_t batch = sizes[0];
  const Integers source{sizes[1], sizes[2]};
  const Integers resized{sizes[3], sizes[4]};
  const Integers input{sizes[5], sizes[6]};
  const bool cuts_source = arguments.Boolean(8, "cutsSource");
  const Span<uint8_t> bytes = arguments.Bools(0, "bytes");
  if (bytes.length < ProductOf({batch, source[0], source[1], kColours})) {
    throw RangeError("bytes must have all images");
  }
  const int32_t* windows = nullptr;
  Taps rows;
  Taps columns;
  if (!IsNull(arguments, 1)) {
    const Span<int32_t> given = arguments.Int32s(1, "windows");
    CheckSameLength("windows", given.length, "5 · batch", ProductOf({batch, kWindowNumbers}));
    windows = given.data;
    rows = TapsFrom(arguments, 2, "rowTaps", resized[0]);
    columns = TapsFrom(arguments, 3, "columnTaps", resized[1]);
  }
  const bool has_size = windows == nullptr ? source == input
                        : cuts_source      ? resized == input
                                           : resized[0] >= input[0] && resized[1] >= input[1];
  if (!has_size) throw RangeError("the images cannot be of the input's size");
  const float* table = arguments.Floats(4, "table", kByteValues * kColours).data;
  const float* mean = arguments.FloatsOrNull(5, "mean", ProductOf({input[0], input[1], kColours}));
  const float* colours = arguments.FloatsOrNull(6, "colours", ProductOf({batch, kColours}));
  const size_t pixels = ProductOf({batch, input[0], input[1]});
  float* out = arguments.Floats(9, "out", pixels * kColours).data;
  const ViewSizes views{static_cast<int>(source[0]), static_cast<int>(source[1]),
                        static_cast<int>(input[0]),  static_cast<int>(input[1]),
                        rows.stride,                 columns.stride,
                        cuts_source};
  LaunchFor(pixels, "ImagesFromViews", pixels, views, bytes.data, windows, rows.data, columns.data,
            table, mean, colours, out);
  return nullptr;
}

}  // namespace twotower::cuda
