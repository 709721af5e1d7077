#include "downloads.h"

#include "libraries.h"

namespace twotower::cuda {
namespace {

// In a thread of the driver. A copy's values are promised to the host once a function that follows it in its stream runs.
void SetReady(void* ready) { __atomic_store_n(static_cast<int32_t*>(ready), 1, __ATOMIC_RELEASE); }

}  // namespace

Downloads::Downloads() {
  CheckDriver(TheDriver().streamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
  CheckDriver(TheDriver().eventCreate(&worked_, kEventDisableTiming), "cuEventCreate");
}

// Nothing is checked: a device that has failed fails here again.
Downloads::~Downloads() {
  TheDriver().streamSynchronize(stream_);
  TheDriver().eventDestroy(worked_);
  TheDriver().streamDestroy(stream_);
}

void Downloads::Begin(void* work, void* to, Address from, size_t bytes, int32_t* ready) {
  Follow(work);
  CheckDriver(TheDriver().memcpyToHost(to, from, bytes, stream_), "cuMemcpyDtoHAsync");
  SetWhenDone(ready);
}

void Downloads::Announce(void* work, int32_t* ready) {
  Follow(work);
  SetWhenDone(ready);
}

void Downloads::Follow(void* work) {
  CheckDriver(TheDriver().eventRecord(worked_, work), "cuEventRecord");
  CheckDriver(TheDriver().streamWaitEvent(stream_, worked_, 0), "cuStreamWaitEvent");
}

void Downloads::SetWhenDone(int32_t* ready) {
  CheckDriver(TheDriver().launchHostFunction(stream_, SetReady, ready), "cuLaunchHostFunc");
}

}  // namespace twotower::cuda
