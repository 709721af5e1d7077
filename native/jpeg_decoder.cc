// jpeg_decoder: an addon that decodes JPEGs with libjpeg-turbo; src/data/jpeg_decoder.ts loads it. It keeps no state
// between calls, so any number of threads may use it.

#include <node_api.h>

#include <csetjmp>
#include <cstdio>
#include <exception>
#include <string>

#include "arguments.h"

// After <cstdio>, which it needs and does not include.
#include <jpeglib.h>

#ifndef LIBJPEG_TURBO_VERSION
#error "this is another libjpeg; libjpeg-turbo is needed"
#endif

#define TEXT_OF(value) #value
#define VERSION_TEXT(value) TEXT_OF(value)

namespace twotower {
namespace {

struct Errors {
  jpeg_error_mgr base;
  std::jmp_buf leave;
};

[[noreturn]] void Leave(j_common_ptr image) {
  std::longjmp(reinterpret_cast<Errors*>(image->err)->leave, 1);
}

void LeaveOnWarning(j_common_ptr image, int level) {
  if (level < 0) Leave(image);
}

// Returns whether the image is whole and height × width pixels; if not, `out` may be partly written. This function
// must hold no C++ object, because longjmp would not destroy it.
bool DecodeInto(Span<uint8_t> bytes, JDIMENSION height, JDIMENSION width, uint8_t* out) {
  jpeg_decompress_struct image = {};
  Errors errors;
  image.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = Leave;
  errors.base.emit_message = LeaveOnWarning;
  if (setjmp(errors.leave) != 0) {
    jpeg_destroy_decompress(&image);
    return false;
  }
  jpeg_create_decompress(&image);
  jpeg_mem_src(&image, bytes.data, bytes.length);
  jpeg_read_header(&image, TRUE);
  image.out_color_space = JCS_RGB;
  jpeg_start_decompress(&image);
  const bool fits = image.output_height == height && image.output_width == width;
  while (fits && image.output_scanline < height) {
    JSAMPROW row = out + static_cast<size_t>(image.output_scanline) * width * 3;
    jpeg_read_scanlines(&image, &row, 1);
  }
  if (fits) jpeg_finish_decompress(&image);
  jpeg_destroy_decompress(&image);
  return fits;
}

napi_value Decode(napi_env env, napi_callback_info info) {
  try {
    const Arguments arguments(env, info, 4);
    const Span<uint8_t> bytes = arguments.Bools(0, "bytes");
    const int64_t height = arguments.Integer(1, "height", 1, JPEG_MAX_DIMENSION);
    const int64_t width = arguments.Integer(2, "width", 1, JPEG_MAX_DIMENSION);
    const Span<uint8_t> out = arguments.Bools(3, "out");
    if (out.length < static_cast<size_t>(height * width * 3)) {
      throw RangeError("out has " + std::to_string(out.length) + " bytes, too few");
    }
    return arguments.Boolean(DecodeInto(bytes, static_cast<JDIMENSION>(height),
                                        static_cast<JDIMENSION>(width), out.data));
  } catch (const TypeError& error) {
    napi_throw_type_error(env, nullptr, (std::string("decode: ") + error.what()).c_str());
  } catch (const std::exception& error) {
    napi_throw_range_error(env, nullptr, (std::string("decode: ") + error.what()).c_str());
  }
  return nullptr;
}

}  // namespace
}  // namespace twotower

NAPI_MODULE_INIT() {
  napi_value version, decode;
  napi_create_string_utf8(env, VERSION_TEXT(LIBJPEG_TURBO_VERSION), NAPI_AUTO_LENGTH, &version);
  napi_create_function(env, "decode", NAPI_AUTO_LENGTH, twotower::Decode, nullptr, &decode);
  napi_set_named_property(env, exports, "libjpegTurbo", version);
  napi_set_named_property(env, exports, "decode", decode);
  return exports;
}
