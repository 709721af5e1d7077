// The driver's functions of streams and events.

#include <memory>

#include "driver.h"

namespace cuda_double {
namespace {

std::shared_ptr<Event> EventOf(const void* handle) {
  auto event = Events().Find(handle);
  Require(event != nullptr, kInvalidHandle);
  return event;
}

// Gives the event a new gate, which the work opens.
std::function<void()> Recorded(const std::shared_ptr<Event>& event) {
  const auto gate = std::make_shared<Gate>();
  std::lock_guard<std::mutex> lock(event->mutex);
  event->recorded = gate;
  return [gate] { gate->Open(); };
}

}  // namespace

int cuStreamCreate(void** stream, unsigned flags) {
  return ContextCall(__func__, [&](Gpu& gpu) {
    Require(flags <= twotower::cuda::kStreamNonBlocking, kInvalidValue);
    *stream = gpu.CreateStream();
  });
}

int cuStreamDestroy_v2(void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto removed = Streams().Remove(stream);
    Require(removed != nullptr, kInvalidHandle);
    removed->End();
    GpuOf(removed->device).streams.destroyed++;
  });
}

int cuStreamSynchronize(void* stream) {
  const int status = ContextCall(__func__, [&](Gpu&) {
    const auto waited = StreamOf(stream);
    Require(!waited->is_recording(), kCaptureUnsupported);
    waited->Synchronize();
  });
  // A GPU that has failed does nothing more. Streams of the double do what they have to, so it waits for them here.
  const auto left = AreGpusLost() ? Streams().Find(stream) : nullptr;
  if (left != nullptr) left->Synchronize();
  return status;
}

int cuStreamQuery(void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto asked = StreamOf(stream);
    Require(!asked->is_recording(), kCaptureUnsupported);
    Require(asked->IsIdle(), twotower::cuda::kNotReady);
  });
}

int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto target = StreamOf(stream);
    Require(function != nullptr, kInvalidValue);
    target->Enqueue([=] {
      // The driver calls none once its GPU has failed.
      if (!AreGpusLostHere()) function(data);
    });
  });
}

int cuStreamWaitEvent(void* stream, void* event, unsigned flags) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto waiting = StreamOf(stream);
    const auto awaited = EventOf(event);
    Require(flags == 0, kInvalidValue);
    // The double records the work of one stream alone.
    Require(!waiting->is_recording(), kCaptureIsolation);
    std::shared_ptr<Gate> gate;
    {
      std::lock_guard<std::mutex> lock(awaited->mutex);
      gate = awaited->recorded;
    }
    // Later records do not matter, nor does an event without any.
    if (gate != nullptr) waiting->Enqueue([gate] { gate->Wait(); });
  });
}

int cuEventCreate(void** event, unsigned flags) {
  return ContextCall(__func__, [&](Gpu& gpu) {
    // CU_EVENT_BLOCKING_SYNC and CU_EVENT_DISABLE_TIMING.
    Require(flags <= 3, kInvalidValue);
    auto created = std::make_shared<Event>();
    created->device = gpu.ordinal;
    created->is_timed = (flags & twotower::cuda::kEventDisableTiming) == 0;
    *event = Events().Add(std::move(created));
    gpu.events.created++;
  });
}

int cuEventRecord(void* event, void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto recorded = EventOf(event);
    const auto recording = StreamOf(stream);
    Require(recorded->device == recording->device, kInvalidHandle);
    if (recording->is_recording()) {
      // It only marks a dependency then, and cannot be asked for its time.
      std::lock_guard<std::mutex> lock(recorded->mutex);
      recorded->recorded = nullptr;
      return;
    }
    recording->Enqueue(Recorded(recorded));
  });
}

int cuEventRecordWithFlags(void* event, void* stream, unsigned flags) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto recorded = EventOf(event);
    const auto recording = StreamOf(stream);
    Require(recorded->device == recording->device, kInvalidHandle);
    Require(flags == twotower::cuda::kEventRecordExternal, kInvalidValue);
    recording->EnqueueMade([recorded] { return Recorded(recorded); });
  });
}

int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto time = [](const void* handle) {
      const auto event = EventOf(handle);
      std::lock_guard<std::mutex> lock(event->mutex);
      Require(event->is_timed && event->recorded != nullptr, kInvalidHandle);
      const auto opened = event->recorded->opened_at();
      Require(opened.has_value(), twotower::cuda::kNotReady);
      return *opened;
    };
    const std::chrono::duration<float, std::milli> elapsed = time(end) - time(start);
    *milliseconds = elapsed.count();
  });
}

int cuEventDestroy_v2(void* event) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto removed = Events().Remove(event);
    Require(removed != nullptr, kInvalidHandle);
    GpuOf(removed->device).events.destroyed++;
  });
}

}  // namespace cuda_double
