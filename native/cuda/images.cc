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

// Integers in rows of equal length, at least `fewest` in each.
struct Rows {
  const int32_t* data;
  int length;
};

Rows RowsFrom(const Arguments& arguments, size_t index, const char* name, int64_t count,
              int64_t fewest) {
  const Span<int32_t> span = arguments.Int32s(index, name);
  const auto rows = static_cast<size_t>(count);
  const size_t length = rows == 0 ? 0 : span.length / rows;
  if (length * rows != span.length || length < static_cast<size_t>(fewest)) {
    throw RangeError(std::string(name) + " must have " + std::to_string(count) +
                     " rows of at least " + std::to_string(fewest) + " integers");
  }
  return {span.data, static_cast<int>(length)};
}

}  // namespace

napi_value ImagesFromViews(Arguments& arguments) {
  // [batch, sourceHeight, sourceWidth, resizedHeight, resizedWidth, outHeight, outWidth]
  const Integers sizes = arguments.Sizes(7, "sizes", 7);
  const int64_t batch = sizes[0];
  const Integers source = {batch, sizes[1], sizes[2], kColours};
  const Integers image = {sizes[5], sizes[6], kColours};
  const Integers out_shape = {batch, sizes[5], sizes[6], kColours};
  const Span<uint8_t> bytes = arguments.Bools(0, "bytes");
  if (bytes.length < ProductOf(source)) {
    throw RangeError("bytes must have at least " + std::to_string(ProductOf(source)) + " elements");
  }
  Rows windows{nullptr, 0};
  Rows row_taps{nullptr, 0};
  Rows column_taps{nullptr, 0};
  if (!IsNull(arguments, 1)) {
    windows = RowsFrom(arguments, 1, "windows", batch, kWindowNumbers);
    row_taps = RowsFrom(arguments, 2, "rowTaps", sizes[3], 2);
    column_taps = RowsFrom(arguments, 3, "columnTaps", sizes[4], 2);
  } else if (sizes[1] != sizes[5] || sizes[2] != sizes[6]) {
    throw RangeError("images of another size than the input need windows");
  }
  const float* table = arguments.Floats(4, "table", kByteValues * kColours).data;
  const float* mean = arguments.FloatsOrNull(5, "mean", ProductOf(image));
  const float* colours = arguments.FloatsOrNull(6, "colours", ProductOf({batch, kColours}));
  const ViewSizes views{static_cast<int>(sizes[1]), static_cast<int>(sizes[2]),
                        static_cast<int>(sizes[5]), static_cast<int>(sizes[6]),
                        row_taps.length,            column_taps.length,
                        arguments.Boolean(8, "cutsSource")};
  float* out = arguments.Floats(9, "out", ProductOf(out_shape)).data;
  const size_t pixels = ProductOf({batch, sizes[5], sizes[6]});
  LaunchFor(pixels, "ImagesFromViews", pixels, views, bytes.data, windows.data, row_taps.data,
            column_taps.data, table, mean, colours, out);
  return nullptr;
}

napi_value LockMemory(Arguments& arguments) {
  const Values memory = arguments.HostValues(0, "memory");
  Uploads& uploads = Device::OfThread().uploads();
  const bool is_new = uploads.Lock(memory.data, memory.length * memory.ElementBytes());
  return arguments.Boolean(is_new);
}

napi_value BeginUpload(Arguments& arguments) {
  const Values from = arguments.HostValues(0, "from");
  const Values to = arguments.AnyValues(1, "to");
  CheckSameType("from", from.type, "to", to.type);
  CheckSameLength("from", from.length, "to", to.length);
  Device::OfThread().uploads().Begin(reinterpret_cast<Address>(to.data), from.data,
                                     from.length * from.ElementBytes());
  return nullptr;
}

napi_value FinishUploads(Arguments&) {
  Device::OfThread().uploads().Finish();
  return nullptr;
}

}  // namespace twotower::cuda
