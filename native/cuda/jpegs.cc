#include "jpegs.h"

#include <algorithm>
#include <string>

#include "launch.h"
#include "libraries.h"

namespace twotower::cuda {
namespace {

constexpr int64_t kRgb = 3;

// What nvJPEG says of files that it does not decode. Everything else is a failure of the GPU or of the program.
constexpr int kRefusals[] = {kJpegInvalidParameter, kJpegBad,
                             kJpegNotSupported,     kJpegInternalError,
                             kJpegIncomplete,       kJpegImplementationNotSupported};

bool IsRefusal(int status) {
  return std::find(std::begin(kRefusals), std::end(kRefusals), status) != std::end(kRefusals);
}

// Rows of taps for each of some positions, from the host.
struct HostTaps {
  const int32_t* data;
  size_t bytes;
  int stride;
};

HostTaps HostTapsFrom(const Arguments& arguments, size_t index, const char* name,
                      int64_t positions) {
  const Values taps = arguments.HostValues(index, name);
  CheckSameType(name, taps.type, "int32", Type::kInt32);
  const auto count = static_cast<size_t>(positions);
  if (count == 0 || taps.length < 2 * count || taps.length % count != 0) {
    throw RangeError(std::string(name) + " must be of " + std::to_string(count) + " positions");
  }
  return {taps.As<int32_t>(), taps.length * taps.ElementBytes(),
          static_cast<int>(taps.length / count)};
}

Window WindowFrom(const Arguments& arguments, size_t index) {
  const Integers numbers = arguments.IntegerList(index, "window");
  if (numbers.size() != kWindowNumbers) throw RangeError("window must have 5 numbers");
  Window window;
  std::copy(numbers.begin(), numbers.end(), window.numbers);
  return window;
}

}  // namespace

Jpegs::Jpegs(Device& device) : device_(device) {
  FindNvJpeg();
  const NvJpeg& library = TheNvJpeg();
  CheckNvJpeg(library.create(kJpegHybrid, nullptr, nullptr, kJpegStrict | kJpegInterpolates, &handle_),
              "nvjpegCreateEx");
  const int status = library.stateCreate(handle_, &state_);
  if (status != 0) library.destroy(handle_);
  CheckNvJpeg(status, "nvjpegJpegStateCreate");
}

// Nothing is checked: a device that has failed fails here again.
Jpegs::~Jpegs() {
  TheNvJpeg().stateDestroy(state_);
  TheNvJpeg().destroy(handle_);
}

bool Jpegs::Decode(const uint8_t* bytes, size_t length, int height, int width) {
  has_image_ = false;
  if (!HasSize(bytes, length, height, width)) return false;
  const size_t pitch = static_cast<size_t>(kRgb) * static_cast<size_t>(width);
  GrowImage(pitch * static_cast<size_t>(height));
  JpegPlanes planes = {{reinterpret_cast<unsigned char*>(image_)}, {pitch}};
  const int status = TheNvJpeg().decode(handle_, state_, bytes, length, kInterleavedRgb, &planes,
                                        device_.stream());
  // The bytes may be changed once this returns, and the state is used again.
  device_.Synchronize();
  if (IsRefusal(status)) return false;
  if (status == kJpegAllocatorFailure) {
    throw DeviceMemoryError("GPU " + std::to_string(device_.ordinal()) + " (" + device_.name() +
                            ") is out of memory for nvJPEG");
  }
  CheckNvJpeg(status, "nvjpegDecode");
  height_ = height;
  width_ = width;
  has_image_ = true;
  return true;
}

bool Jpegs::HasSize(const uint8_t* bytes, size_t length, int height, int width) const {
  int components = 0;
  int subsampling = 0;
  int widths[kJpegComponents] = {};
  int heights[kJpegComponents] = {};
  const int status = TheNvJpeg().imageInfo(handle_, bytes, length, &components, &subsampling, widths,
                                           heights);
  if (IsRefusal(status)) return false;
  CheckNvJpeg(status, "nvjpegGetImageInfo");
  return (components == 1 || components == kRgb) && widths[0] == width && heights[0] == height;
}

void Jpegs::GrowImage(size_t bytes) {
  if (bytes <= image_bytes_) return;
  if (image_ != 0) device_.Free(image_);
  image_ = 0;
  image_bytes_ = 0;
  image_ = device_.Allocate(bytes);
  image_bytes_ = bytes;
}

napi_value DecodeJpeg(Arguments& arguments) {
  constexpr int64_t kMostSide = (1 << 16) - 1;
  const Values bytes = arguments.HostValues(0, "bytes");
  CheckSameType("bytes", bytes.type, "bool", Type::kBool);
  const auto height = static_cast<int>(arguments.Integer(1, "height", 1, kMostSide));
  const auto width = static_cast<int>(arguments.Integer(2, "width", 1, kMostSide));
  const bool is_decoded = Device::OfThread().jpegs().Decode(bytes.As<uint8_t>(), bytes.length,
                                                            height, width);
  return arguments.Boolean(is_decoded);
}

napi_value ViewJpeg(Arguments& arguments) {
  Device& device = Device::OfThread();
  const Jpegs& jpegs = device.jpegs();
  if (jpegs.image() == nullptr) throw std::runtime_error("no image is decoded");
  const Window window = WindowFrom(arguments, 0);
  const Integers sizes = arguments.Sizes(3, "sizes", 4);
  const Integers resized{sizes[0], sizes[1]};
  const Integers input{sizes[2], sizes[3]};
  const bool cuts_source = arguments.Boolean(4, "cutsSource");
  const int* numbers = window.numbers;
  const bool is_inside = numbers[0] >= 0 && numbers[1] >= 0 &&
                         numbers[0] + input[0] <= resized[0] && numbers[1] + input[1] <= resized[1];
  if (cuts_source ? resized != input : !is_inside) {
    throw RangeError("the window cannot be of the input's size");
  }
  const HostTaps rows = HostTapsFrom(arguments, 1, "rowTaps", resized[0]);
  const HostTaps columns = HostTapsFrom(arguments, 2, "columnTaps", resized[1]);
  const Values out = arguments.HostValues(5, "out");
  const size_t pixels = ProductOf({input[0], input[1]});
  CheckSameType("out", out.type, "bool", Type::kBool);
  CheckSameLength("out", out.length, "the input", pixels * kRgb);

  const Scratch row_taps(rows.bytes);
  const Scratch column_taps(columns.bytes);
  const Scratch shown(out.length);
  device.Write(row_taps.As<void>(), rows.data, rows.bytes);
  device.Write(column_taps.As<void>(), columns.data, columns.bytes);
  const ViewSizes views{jpegs.height(),
                        jpegs.width(),
                        static_cast<int>(input[0]),
                        static_cast<int>(input[1]),
                        rows.stride,
                        columns.stride,
                        cuts_source};
  LaunchFor(pixels, "ViewedImage", pixels, views, jpegs.image(), window,
            static_cast<const int*>(row_taps.As<int>()), static_cast<const int*>(column_taps.As<int>()),
            shown.As<uint8_t>());
  device.Read(out.data, shown.As<void>(), out.length);
  return nullptr;
}

}  // namespace twotower::cuda
