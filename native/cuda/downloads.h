// Copies to the host that go on beside the device's work, on a stream of their own, for other threads to read.

#ifndef TWOTOWER_NATIVE_CUDA_DOWNLOADS_H_
#define TWOTOWER_NATIVE_CUDA_DOWNLOADS_H_

#include <cstddef>
#include <cstdint>

#include "api.h"

namespace twotower::cuda {

// Of one thread's device, whose context must be current in every call.
class Downloads {
 public:
  Downloads();
  Downloads(const Downloads&) = delete;
  Downloads& operator=(const Downloads&) = delete;
  // Waits for all copies.
  ~Downloads();

  // Begins a copy that follows what is enqueued on the stream `work`. When it is done, `ready` becomes 1 for every thread
  // that sees it so with acquire order; it stays as it is if the device fails. Neither memory may be freed before, nor `from`
  // changed. Work that is enqueued later does not wait for the copy.
  void Begin(void* work, void* to, Address from, size_t bytes, int32_t* ready);
  // The same of values that stay where they are on the device.
  void Announce(void* work, int32_t* ready);

 private:
  void Follow(void* work);
  void SetWhenDone(int32_t* ready);

  void* stream_ = nullptr;
  void* worked_ = nullptr;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_DOWNLOADS_H_
