#include "uploads.h"

#include <map>
#include <mutex>

#include "libraries.h"

namespace twotower::cuda {
namespace {

// Memory that threads hold, by its address.
struct Held {
  int holders = 0;
  bool is_locked = false;
};

std::mutex held_mutex;

std::map<void*, Held>& HeldByProcess() {
  static std::map<void*, Held>& held = *new std::map<void*, Held>();
  return held;
}

}  // namespace

Uploads::Uploads() {
  CheckDriver(TheDriver().streamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
  CheckDriver(TheDriver().eventCreate(&copied_, kEventDisableTiming), "cuEventCreate");
}

// Nothing is checked: a device that has failed fails here again.
Uploads::~Uploads() {
  TheDriver().streamSynchronize(stream_);
  TheDriver().eventDestroy(copied_);
  TheDriver().streamDestroy(stream_);
  const std::lock_guard<std::mutex> lock(held_mutex);
  for (void* memory : held_) {
    const auto found = HeldByProcess().find(memory);
    if (--found->second.holders > 0) continue;
    if (found->second.is_locked) TheDriver().memHostUnregister(memory);
    HeldByProcess().erase(found);
  }
}

bool Uploads::Lock(void* memory, size_t bytes) {
  if (!held_.insert(memory).second) return false;
  const std::lock_guard<std::mutex> lock(held_mutex);
  Held& held = HeldByProcess()[memory];
  if (held.holders++ == 0) {
    held.is_locked = TheDriver().memHostRegister(memory, bytes, kHostRegisterPortable) == 0;
  }
  return true;
}

void Uploads::Begin(Address to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  CheckDriver(TheDriver().memcpyToDevice(to, from, bytes, stream_), "cuMemcpyHtoDAsync");
}

void Uploads::Finish() {
  CheckDriver(TheDriver().streamSynchronize(stream_), "cuStreamSynchronize");
}

void Uploads::FinishBefore(void* work) {
  CheckDriver(TheDriver().eventRecord(copied_, stream_), "cuEventRecord");
  CheckDriver(TheDriver().streamWaitEvent(work, copied_, 0), "cuStreamWaitEvent");
}

}  // namespace twotower::cuda
