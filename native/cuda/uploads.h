// Copies to the device that go on beside its work, on a stream of their own, and page-locking of the host memory that they read.

#ifndef TWOTOWER_NATIVE_CUDA_UPLOADS_H_
#define TWOTOWER_NATIVE_CUDA_UPLOADS_H_

#include <cstddef>
#include <set>

#include "api.h"

namespace twotower::cuda {

// Of one thread's device, whose context must be current in every call.
class Uploads {
 public:
  Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;
  // Waits for all copies. Memory that no thread's uploads hold any more is unlocked.
  ~Uploads();

  // Page-locks memory for all GPUs, unless a thread of the process has done so. If the driver refuses, copies from there are
  // slower. Returns whether this object did not hold the memory before. The memory must not be freed while this exists.
  bool Lock(void* memory, size_t bytes);

  // Begins a copy. Neither memory may be changed or freed until it is done.
  void Begin(Address to, const void* from, size_t bytes);
  // Waits for all copies.
  void Finish();
  // What is enqueued on the stream `work` from now on waits for the copies that were begun so far; the thread does not.
  void FinishBefore(void* work);

 private:
  void* stream_ = nullptr;
  void* copied_ = nullptr;
  std::set<void*> held_;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_UPLOADS_H_
