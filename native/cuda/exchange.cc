// Events, and what a device does with the memory of another worker of the process, on the same GPU or another one.

#include "device.h"
#include "libraries.h"

namespace twotower::cuda {

void* Device::CreateEvent(bool is_timed) {
  void* event = nullptr;
  const unsigned flags = is_timed ? 0 : kEventDisableTiming;
  CheckDriver(TheDriver().eventCreate(&event, flags), "cuEventCreate");
  events_.push_back(event);
  return event;
}

void Device::RecordEvent(void* event) {
  if (is_recording()) {
    CheckDriver(TheDriver().eventRecordInGraph(event, stream_, kEventRecordExternal),
                "cuEventRecordWithFlags");
    return;
  }
  CheckDriver(TheDriver().eventRecord(event, stream_), "cuEventRecord");
}

float Device::ElapsedMs(void* start, void* end) {
  float milliseconds = 0;
  CheckDriver(TheDriver().eventElapsedTime(&milliseconds, start, end), "cuEventElapsedTime");
  return milliseconds;
}

void Device::WaitForEvent(void* event) {
  CheckDriver(TheDriver().streamWaitEvent(stream_, event, 0), "cuStreamWaitEvent");
}

Device::Peer& Device::PeerOf(int ordinal) {
  const auto [found, is_new] = peers_.try_emplace(ordinal);
  Peer& peer = found->second;
  if (!is_new) return peer;
  const Driver& driver = TheDriver();
  int device = 0;
  CheckDriver(driver.deviceGet(&device, ordinal), "cuDeviceGet");
  CheckDriver(driver.primaryContextRetain(&peer.context, device), "cuDevicePrimaryCtxRetain");
  peer.device = device;
  int can = 0;
  CheckDriver(driver.deviceCanAccessPeer(&can, device_, device), "cuDeviceCanAccessPeer");
  if (can == 0) return peer;
  // Another worker on this GPU may have enabled it.
  const int status = driver.contextEnablePeerAccess(peer.context, 0);
  if (status != kPeerAccessAlreadyEnabled) CheckDriver(status, "cuCtxEnablePeerAccess");
  peer.is_readable = true;
  return peer;
}

bool Device::ReadsInPlace(int ordinal) {
  return ordinal == ordinal_ || PeerOf(ordinal).is_readable;
}

void Device::CopyFromPeer(int ordinal, void* to, Address from, size_t bytes) {
  if (bytes == 0) return;
  CheckDriver(TheDriver().memcpyPeer(reinterpret_cast<Address>(to), context_, from,
                                     PeerOf(ordinal).context, bytes, stream_),
              "cuMemcpyPeerAsync");
}

}  // namespace twotower::cuda
