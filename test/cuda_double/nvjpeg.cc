// nvJPEG by libjpeg-turbo, which the program's own decoder uses too, so that both give the same pixels.
//
// As in the hybrid backend, the calling thread decodes what it can, and the pixels arrive when the stream comes to them. A state
// holds device memory for its largest image. A file that lacks its end is decoded without an error.

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

// After <cstdio>, which they need and do not include.
#include <jpeglib.h>
#include <jerror.h>

#include "call.h"
#include "gpu.h"
#include "report.h"
#include "settings.h"

namespace cuda_double {
namespace {

namespace cuda = twotower::cuda;

constexpr int kNoHandle = 1;  // NVJPEG_STATUS_NOT_INITIALIZED

void RequireJpeg(bool is_right, int status = cuda::kJpegInvalidParameter) {
  if (!is_right) throw Status{status};
}

struct JpegLibrary {
  int device;
  bool is_strict;
};

struct State {
  int device;
  Address memory = 0;
  size_t bytes = 0;
};

Handles<JpegLibrary>& Libraries() {
  static auto& all = *new Handles<JpegLibrary>();
  return all;
}

Handles<State>& States() {
  static auto& all = *new Handles<State>();
  return all;
}

Gpu& CurrentJpegGpu() {
  try {
    return CurrentGpu();
  } catch (const DriverStatus&) {
    throw Status{kNoHandle};
  }
}

struct Errors {
  jpeg_error_mgr base;
  std::jmp_buf leave;
  bool is_strict;
  bool has_ended;
};

[[noreturn]] void Leave(j_common_ptr image) {
  std::longjmp(reinterpret_cast<Errors*>(image->err)->leave, 1);
}

// What a file lacks at its end is made up, without an error.
void LeaveIfStrict(j_common_ptr image, int level) {
  auto& errors = *reinterpret_cast<Errors*>(image->err);
  if (level >= 0) return;
  if (errors.base.msg_code == JWRN_JPEG_EOF) errors.has_ended = true;
  if (errors.is_strict && !errors.has_ended) Leave(image);
}

struct Header {
  int components, height, width;
};

// Reads the header and, if `out` is not null, the pixels: uint8 [height, width, 3]. False for a damaged file. This function must
// hold no C++ object, because longjmp would not destroy it.
bool Read(const unsigned char* bytes, size_t length, bool is_strict, Header* header, uint8_t* out) {
  jpeg_decompress_struct image = {};
  Errors errors = {};
  image.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = Leave;
  errors.base.emit_message = LeaveIfStrict;
  errors.is_strict = is_strict;
  if (setjmp(errors.leave) != 0) {
    jpeg_destroy_decompress(&image);
    return false;
  }
  jpeg_create_decompress(&image);
  jpeg_mem_src(&image, bytes, static_cast<unsigned long>(length));
  jpeg_read_header(&image, TRUE);
  *header = {image.num_components, static_cast<int>(image.image_height),
             static_cast<int>(image.image_width)};
  if (out != nullptr) {
    image.out_color_space = JCS_RGB;
    jpeg_start_decompress(&image);
    while (image.output_scanline < image.output_height) {
      JSAMPROW row = out + static_cast<size_t>(image.output_scanline) * image.output_width * 3;
      jpeg_read_scanlines(&image, &row, 1);
    }
    jpeg_finish_decompress(&image);
  }
  jpeg_destroy_decompress(&image);
  return true;
}

template <typename Body>
int JpegCall(const char* symbol, const Body& body) noexcept {
  return Call(Library::kNvJpeg, symbol, body);
}

// Grows the state's memory, of which the real library needs several times the image's.
void Hold(State& state, size_t bytes) {
  if (bytes <= state.bytes) return;
  Gpu& gpu = CurrentJpegGpu();
  if (state.memory != 0) gpu.Free(state.memory);
  state.memory = 0;
  state.bytes = 0;
  try {
    state.memory = gpu.Allocate(bytes);
  } catch (const DriverStatus&) {
    throw Status{cuda::kJpegAllocatorFailure};
  }
  state.bytes = bytes;
}

}  // namespace

int nvjpegGetProperty(int property, int* value) {
  return JpegCall(__func__, [&] {
    const int version = TheSettings().nvjpeg;
    RequireJpeg(value != nullptr && (property == cuda::kMajorVersion || property == cuda::kMinorVersion));
    *value = property == cuda::kMajorVersion ? version / 1000 : version % 1000 / 10;
  });
}

int nvjpegCreateEx(int backend, void* device_allocator, void* pinned_allocator, unsigned flags,
                   void** handle) {
  return JpegCall(__func__, [&] {
    RequireJpeg(backend == cuda::kJpegHybrid && handle != nullptr);
    RequireJpeg(device_allocator == nullptr && pinned_allocator == nullptr);
    const bool is_strict = (flags & cuda::kJpegStrict) != 0;
    // Chroma that is not interpolated would give other pixels.
    RequireJpeg((flags & cuda::kJpegInterpolates) != 0);
    const int device = CurrentJpegGpu().ordinal;
    *handle = Libraries().Add(std::make_shared<JpegLibrary>(JpegLibrary{device, is_strict}));
    TheLibraryCounts().nvjpeg.created++;
  });
}

int nvjpegDestroy(void* handle) {
  return JpegCall(__func__, [&] {
    RequireJpeg(Libraries().Remove(handle) != nullptr);
    TheLibraryCounts().nvjpeg.destroyed++;
  });
}

int nvjpegJpegStateCreate(void* handle, void** state) {
  return JpegCall(__func__, [&] {
    const auto library = Libraries().Find(handle);
    RequireJpeg(library != nullptr && state != nullptr);
    auto created = std::make_shared<State>();
    created->device = library->device;
    *state = States().Add(std::move(created));
    TheLibraryCounts().nvjpeg.created++;
  });
}

int nvjpegJpegStateDestroy(void* state) {
  return JpegCall(__func__, [&] {
    const auto removed = States().Remove(state);
    RequireJpeg(removed != nullptr);
    if (removed->memory != 0) CurrentJpegGpu().Free(removed->memory);
    TheLibraryCounts().nvjpeg.destroyed++;
  });
}

int nvjpegGetImageInfo(void* handle, const unsigned char* bytes, size_t length, int* components,
                       int* subsampling, int* widths, int* heights) {
  return JpegCall(__func__, [&] {
    RequireJpeg(Libraries().Find(handle) != nullptr && bytes != nullptr);
    Header header;
    RequireJpeg(Read(bytes, length, false, &header, nullptr), cuda::kJpegBad);
    *components = header.components;
    // NVJPEG_CSS_UNKNOWN
    *subsampling = -1;
    widths[0] = header.width;
    heights[0] = header.height;
  });
}

int nvjpegDecode(void* handle, void* state, const unsigned char* bytes, size_t length, int format,
                 cuda::JpegPlanes* image, void* stream) {
  return JpegCall(__func__, [&] {
    const auto library = Libraries().Find(handle);
    const auto used = States().Find(state);
    Gpu& gpu = CurrentJpegGpu();
    RequireJpeg(library != nullptr && used != nullptr && bytes != nullptr && image != nullptr);
    RequireJpeg(library->device == gpu.ordinal && used->device == gpu.ordinal);
    RequireJpeg(format == cuda::kInterleavedRgb);
    const auto target = StreamOf(stream);
    RequireJpeg(target->device == gpu.ordinal);
    Header header;
    RequireJpeg(Read(bytes, length, false, &header, nullptr), cuda::kJpegBad);
    RequireJpeg(header.components == 1 || header.components == 3, cuda::kJpegNotSupported);
    const auto height = static_cast<size_t>(header.height);
    const size_t row = 3 * static_cast<size_t>(header.width);
    const size_t pitch = image->pitches[0];
    RequireJpeg(pitch >= row);
    CheckAccess(gpu, image->planes[0], pitch * height, "the image of nvJPEG");
    Hold(*used, 2 * row * height);
    const auto pixels = std::make_shared<std::vector<uint8_t>>(row * height);
    RequireJpeg(Read(bytes, length, library->is_strict, &header, pixels->data()), cuda::kJpegBad);
    target->Enqueue([=, plane = image->planes[0]] {
      for (size_t y = 0; y < height; y++) {
        std::memcpy(plane + y * pitch, pixels->data() + y * row, row);
      }
    });
  });
}

}  // namespace cuda_double
