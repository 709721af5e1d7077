// Decodes JPEGs with nvJPEG into the memory of the thread's GPU, and writes what windows of the image show as bytes.
//
// Each thread has a handle and a state of its own, and decodes one image at a time. Its processor undoes the Huffman coding
// (the hybrid backend), its GPU does the rest. The GPU's own JPEG engine decodes batches only, which the threads do not have.

#ifndef TWOTOWER_NATIVE_CUDA_JPEGS_H_
#define TWOTOWER_NATIVE_CUDA_JPEGS_H_

#include <cstddef>
#include <cstdint>

#include "../bindings.h"
#include "api.h"

namespace twotower::cuda {

class Device;

// Of one thread's device, whose context must be current in every call.
class Jpegs {
 public:
  // Throws DeviceError without nvJPEG.
  explicit Jpegs(Device& device);
  Jpegs(const Jpegs&) = delete;
  Jpegs& operator=(const Jpegs&) = delete;
  // All work of the device must be done.
  ~Jpegs();

  // Decodes a file to interleaved RGB of height × width pixels, in place of the image before. Returns false if nvJPEG does not
  // decode such a file, or takes it for one of another size: then there is no image. Throws DeviceMemoryError.
  bool Decode(const uint8_t* bytes, size_t length, int height, int width);

  // The image that was decoded last, uint8 [height, width, 3] on the device; nullptr if there is none.
  const uint8_t* image() const { return has_image_ ? reinterpret_cast<uint8_t*>(image_) : nullptr; }
  int height() const { return height_; }
  int width() const { return width_; }

 private:
  bool HasSize(const uint8_t* bytes, size_t length, int height, int width) const;
  void GrowImage(size_t bytes);

  Device& device_;
  void* handle_ = nullptr;
  void* state_ = nullptr;
  // Grown to the largest image met. The device frees it.
  Address image_ = 0;
  size_t image_bytes_ = 0;
  bool has_image_ = false;
  int height_ = 0;
  int width_ = 0;
};

// src/backend/native/cuda_jpegs.ts says what each one does.
napi_value DecodeJpeg(Arguments& arguments);
napi_value ViewJpeg(Arguments& arguments);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_JPEGS_H_
