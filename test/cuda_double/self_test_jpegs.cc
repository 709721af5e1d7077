// Tests of the double of nvJPEG. Its files are made with libjpeg-turbo.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

// After <cstdio>, which it needs and does not include.
#include <jpeglib.h>

#include "self_test.h"

namespace self_test {
namespace {

namespace cuda = twotower::cuda;

constexpr int kHeight = 24;
constexpr int kWidth = 17;

using Bytes = std::vector<unsigned char>;

// An image of one colour, of three or four components.
Bytes Encoded(J_COLOR_SPACE space, int components, unsigned char value) {
  jpeg_compress_struct image = {};
  jpeg_error_mgr errors;
  image.err = jpeg_std_error(&errors);
  jpeg_create_compress(&image);
  unsigned char* bytes = nullptr;
  unsigned long length = 0;
  jpeg_mem_dest(&image, &bytes, &length);
  image.image_width = kWidth;
  image.image_height = kHeight;
  image.input_components = components;
  image.in_color_space = space;
  jpeg_set_defaults(&image);
  jpeg_start_compress(&image, TRUE);
  Bytes row(static_cast<size_t>(components) * kWidth, value);
  for (int y = 0; y < kHeight; y++) {
    JSAMPROW rows = row.data();
    jpeg_write_scanlines(&image, &rows, 1);
  }
  jpeg_finish_compress(&image);
  const Bytes encoded(bytes, bytes + length);
  jpeg_destroy_compress(&image);
  std::free(bytes);
  return encoded;
}

}  // namespace

void TestJpegs() {
  const auto& nvjpeg = libraries.nvjpeg;
  const auto& driver = libraries.driver;
  void* handle;
  const unsigned flags = cuda::kJpegStrict | cuda::kJpegInterpolates;
  EXPECT(nvjpeg.create(cuda::kJpegHybrid, nullptr, nullptr, flags, &handle), 1);
  const Gpu gpu(0), other(1);
  gpu.MakeCurrent();
  EXPECT(nvjpeg.create(cuda::kJpegHybrid, nullptr, nullptr, cuda::kJpegStrict, &handle), 2);
  EXPECT(nvjpeg.create(cuda::kJpegHybrid, nullptr, nullptr, flags, &handle), 0);
  void* state;
  EXPECT(nvjpeg.stateCreate(handle, &state), 0);
  const auto decode = [&](const Bytes& file, size_t length, Address to, size_t pitch) {
    cuda::JpegPlanes planes = {{reinterpret_cast<unsigned char*>(to)}, {pitch}};
    return nvjpeg.decode(handle, state, file.data(), length, cuda::kInterleavedRgb, &planes,
                         gpu.stream);
  };

  const Bytes grey = Encoded(JCS_RGB, 3, 77);
  int components, subsampling, widths[4], heights[4];
  EXPECT(nvjpeg.imageInfo(handle, grey.data(), grey.size(), &components, &subsampling, widths,
                          heights),
         0);
  EXPECT(components, 3);
  EXPECT(widths[0], kWidth);
  EXPECT(heights[0], kHeight);

  // Between the rows nothing is written.
  constexpr size_t kRow = 3 * kWidth;
  constexpr size_t kPitch = kRow + 5;
  const Address image = gpu.Write(Bytes(kPitch * kHeight, 9));
  EXPECT(decode(grey, grey.size(), image, kPitch), 0);
  const Bytes pixels = gpu.Read<unsigned char>(image, kPitch * kHeight);
  for (size_t i = 0; i < pixels.size(); i++) EXPECT(pixels[i], i % kPitch < kRow ? 77 : 9);

  EXPECT(decode(grey, grey.size(), image, kRow - 1), 2);
  const Bytes cmyk = Encoded(JCS_CMYK, 4, 77);
  EXPECT(decode(cmyk, cmyk.size(), image, kPitch), 4);
  EXPECT(decode(Bytes(100, 1), 100, image, kPitch), 3);
  // What a file lacks at its end is made up, but what is wrong before that is not decoded.
  EXPECT(decode(grey, grey.size() - 2, image, kPitch), 0);
  Bytes wrong = grey;
  wrong[wrong.size() - 3] ^= 0x55;
  wrong[wrong.size() - 5] ^= 0x55;
  EXPECT(decode(wrong, wrong.size(), image, kPitch), 3);

  other.MakeCurrent();
  EXPECT(decode(grey, grey.size(), image, kPitch), 2);
  gpu.MakeCurrent();
  size_t held, left, total;
  EXPECT(driver.memGetInfo(&held, &total), 0);
  EXPECT(nvjpeg.stateDestroy(state), 0);
  EXPECT(driver.memGetInfo(&left, &total), 0);
  EXPECT(left > held, true);
  EXPECT(nvjpeg.stateDestroy(state), 2);
  EXPECT(nvjpeg.destroy(handle), 0);
}

}  // namespace self_test
