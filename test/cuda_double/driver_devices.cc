// The driver's functions of devices and contexts.

#include <atomic>
#include <cstdio>
#include <cstring>

#include "driver.h"
#include "settings.h"

namespace cuda_double {
namespace {

std::atomic<bool> is_initialized{false};

}  // namespace

bool IsInitialized() { return is_initialized; }

int cuInit(unsigned flags) {
  return Call(Library::kDriver, __func__, [&] {
    Require(flags == 0, kInvalidValue);
    Require(!Gpus().empty(), kNoDevice);
    is_initialized = true;
  });
}

int cuDriverGetVersion(int* version) {
  return Call(Library::kDriver, __func__, [&] { *version = TheSettings().driver; });
}

int cuDeviceGetCount(int* count) {
  return DriverCall(__func__, [&] { *count = static_cast<int>(Gpus().size()); });
}

int cuDeviceGet(int* device, int ordinal) {
  return DriverCall(__func__, [&] { *device = GpuOf(ordinal).ordinal; });
}

int cuDeviceGetName(char* name, int length, int device) {
  return DriverCall(__func__, [&] {
    GpuOf(device);
    Require(length > 0, kInvalidValue);
    std::snprintf(name, static_cast<size_t>(length), "Test GPU");
  });
}

int cuDeviceGetUuid_v2(Uuid* uuid, int device) {
  return DriverCall(__func__, [&] {
    const Gpu& gpu = GpuOf(device);
    char bytes[sizeof(uuid->bytes) + 1];
    std::snprintf(bytes, sizeof(bytes), "twotower GPU%4d",
                  100 * TheSettings().machine + gpu.index);
    std::memcpy(uuid->bytes, bytes, sizeof(uuid->bytes));
  });
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  return DriverCall(__func__, [&] {
    GpuOf(device);
    switch (attribute) {
      case 1:  // CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK
        *value = 1024;
        return;
      case 10:  // CU_DEVICE_ATTRIBUTE_WARP_SIZE
        *value = 32;
        return;
      case twotower::cuda::kCapabilityMajor:
        *value = TheSettings().capability / 10;
        return;
      case twotower::cuda::kCapabilityMinor:
        *value = TheSettings().capability % 10;
        return;
    }
    throw DriverStatus{kInvalidValue};
  });
}

int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return DriverCall(__func__, [&] {
    GpuOf(device);
    *bytes = TheSettings().memory;
  });
}

int cuDeviceCanAccessPeer(int* can, int device, int peer) {
  return DriverCall(__func__, [&] {
    const bool is_other = &GpuOf(device) != &GpuOf(peer);
    *can = is_other && TheSettings().has_peer_access ? 1 : 0;
  });
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
  return DriverCall(__func__, [&] {
    Gpu& gpu = GpuOf(device);
    gpu.RetainContext();
    *context = gpu.context();
  });
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  return DriverCall(__func__, [&] { GpuOf(device).ReleaseContext(); });
}

int cuCtxSetCurrent(void* context) {
  return DriverCall(__func__, [&] {
    if (context != nullptr) GpuOfContext(context);
    SetCurrent(context);
  });
}

int cuCtxEnablePeerAccess(void* peer, unsigned flags) {
  return ContextCall(__func__, [&](Gpu& gpu) {
    const Gpu& other = GpuOfContext(peer);
    Require(flags == 0, kInvalidValue);
    Require(&other != &gpu, kInvalidDevice);
    Require(TheSettings().has_peer_access, kPeerAccessUnsupported);
    gpu.EnablePeer(other.ordinal);
  });
}

}  // namespace cuda_double
