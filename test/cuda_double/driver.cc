// The driver: devices, contexts, memory, streams, events, modules, launches.

#include <cstdio>
#include <cstring>

#include "block.h"
#include "call.h"
#include "gpu.h"
#include "settings.h"

namespace cuda_double {
namespace {

std::atomic<bool> is_initialized{false};

// A function of the driver that needs cuInit to have been called.
template <typename Body>
int CallDriver(const char* symbol, const Body& body) {
  return Call(Library::kDriver, symbol, [&] {
    if (!is_initialized) throw Status{kNotInitialized};
    try {
      body();
    } catch (const DriverStatus& status) {
      throw Status{status.code};
    }
  });
}

std::shared_ptr<Event> EventOf(const void* handle) {
  auto event = Events().Find(handle);
  if (event == nullptr) throw DriverStatus{kInvalidHandle};
  return event;
}

// A copy whose memory on the devices the stream's GPU can access.
void EnqueueCopy(void* stream, void* to, const void* from, size_t bytes) {
  StreamOf(stream)->Enqueue([=] { std::memcpy(to, from, bytes); });
}

void* Pointer(Address address) { return reinterpret_cast<void*>(address); }

constexpr unsigned kMostThreads = 1024;
constexpr unsigned kMostBlocks = 65535;

}  // namespace

int cuInit(unsigned flags) {
  return Call(Library::kDriver, "cuInit", [&] {
    if (flags != 0) throw Status{kInvalidValue};
    if (TheSettings().visible.empty()) throw Status{kNoDevice};
    is_initialized = true;
  });
}

int cuDriverGetVersion(int* version) {
  return Call(Library::kDriver, "cuDriverGetVersion", [&] { *version = TheSettings().driver; });
}

int cuDeviceGetCount(int* count) {
  return CallDriver("cuDeviceGetCount", [&] { *count = static_cast<int>(Gpus().size()); });
}

int cuDeviceGet(int* device, int ordinal) {
  return CallDriver("cuDeviceGet", [&] { *device = GpuOf(ordinal).ordinal; });
}

int cuDeviceGetName(char* name, int length, int device) {
  return CallDriver("cuDeviceGetName", [&] {
    GpuOf(device);
    std::snprintf(name, static_cast<size_t>(length), "Test GPU");
  });
}

int cuDeviceGetUuid_v2(Uuid* uuid, int device) {
  return CallDriver("cuDeviceGetUuid", [&] {
    for (int i = 0; i < 16; i++) {
      uuid->bytes[i] = static_cast<unsigned char>(16 * (GpuOf(device).index + 1) + i);
    }
  });
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  return CallDriver("cuDeviceGetAttribute", [&] {
    GpuOf(device);
    if (attribute == twotower::cuda::kCapabilityMajor) {
      *value = TheSettings().capability / 10;
    } else if (attribute == twotower::cuda::kCapabilityMinor) {
      *value = TheSettings().capability % 10;
    } else {
      throw DriverStatus{kInvalidValue};
    }
  });
}

int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return CallDriver("cuDeviceTotalMem", [&] {
    GpuOf(device);
    *bytes = TheSettings().memory;
  });
}

int cuDeviceCanAccessPeer(int* can, int device, int peer) {
  return CallDriver("cuDeviceCanAccessPeer", [&] {
    *can = TheSettings().has_peer_access && &GpuOf(device) != &GpuOf(peer);
  });
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
  return CallDriver("cuDevicePrimaryCtxRetain", [&] {
    Gpu& gpu = GpuOf(device);
    gpu.RetainContext();
    *context = gpu.context();
  });
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  return CallDriver("cuDevicePrimaryCtxRelease", [&] { GpuOf(device).ReleaseContext(); });
}

int cuCtxSetCurrent(void* context) {
  return CallDriver("cuCtxSetCurrent", [&] {
    if (context != nullptr) GpuOfContext(context);
    SetCurrent(context);
  });
}

int cuCtxEnablePeerAccess(void* peer, unsigned flags) {
  return CallDriver("cuCtxEnablePeerAccess", [&] {
    Gpu& other = GpuOfContext(peer);
    Gpu& gpu = CurrentGpu();
    if (flags != 0 || &other == &gpu) throw DriverStatus{kInvalidValue};
    if (!TheSettings().has_peer_access) throw DriverStatus{kPeerAccessUnsupported};
    gpu.EnablePeer(other.ordinal);
  });
}

int cuMemAlloc_v2(Address* address, size_t bytes) {
  return CallDriver("cuMemAlloc", [&] { *address = CurrentGpu().Allocate(bytes); });
}

int cuMemFree_v2(Address address) {
  return CallDriver("cuMemFree", [&] {
    if (!CurrentGpu().Free(address)) throw DriverStatus{kInvalidValue};
  });
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
  return CallDriver("cuMemGetInfo", [&] {
    *total = TheSettings().memory;
    *free = *total - CurrentGpu().used();
  });
}

// Memory that is not pinned is copied at the call.
int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream) {
  return CallDriver("cuMemcpyHtoDAsync", [&] {
    OwnerOf(to, bytes);
    const auto* first = static_cast<const char*>(from);
    StreamOf(stream)->Enqueue([to, staged = std::vector<char>(first, first + bytes)] {
      std::memcpy(Pointer(to), staged.data(), staged.size());
    });
  });
}

int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream) {
  return CallDriver("cuMemcpyDtoHAsync", [&] {
    OwnerOf(from, bytes);
    EnqueueCopy(stream, to, Pointer(from), bytes);
  });
}

int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void* stream) {
  return CallDriver("cuMemcpyDtoDAsync", [&] {
    CheckAccess(CurrentGpu(), Pointer(from), bytes, "the source of a copy");
    CheckAccess(CurrentGpu(), Pointer(to), bytes, "the target of a copy");
    EnqueueCopy(stream, Pointer(to), Pointer(from), bytes);
  });
}

int cuMemcpyPeerAsync(Address to, void* to_context, Address from, void* from_context, size_t bytes,
                      void* stream) {
  return CallDriver("cuMemcpyPeerAsync", [&] {
    const bool are_theirs =
        GpuOfContext(to_context).Has(to, bytes) && GpuOfContext(from_context).Has(from, bytes);
    if (!are_theirs) throw DriverStatus{kInvalidValue};
    EnqueueCopy(stream, Pointer(to), Pointer(from), bytes);
  });
}

int cuStreamCreate(void** stream, unsigned flags) {
  return CallDriver("cuStreamCreate", [&] {
    if (flags > twotower::cuda::kStreamNonBlocking) throw DriverStatus{kInvalidValue};
    *stream = CurrentGpu().CreateStream();
  });
}

int cuStreamDestroy_v2(void* stream) {
  return CallDriver("cuStreamDestroy", [&] {
    const auto ended = Streams().Remove(stream);
    if (ended == nullptr) throw DriverStatus{kInvalidHandle};
    ended->End();
    GpuOf(ended->device).streams.destroyed++;
  });
}

int cuStreamSynchronize(void* stream) {
  return CallDriver("cuStreamSynchronize", [&] { StreamOf(stream)->Synchronize(); });
}

int cuStreamWaitEvent(void* stream, void* event, unsigned flags) {
  return CallDriver("cuStreamWaitEvent", [&] {
    if (flags != 0) throw DriverStatus{kInvalidValue};
    const auto waited = EventOf(event);
    const std::lock_guard<std::mutex> lock(waited->mutex);
    if (waited->recorded == nullptr) return;
    StreamOf(stream)->Enqueue([gate = waited->recorded] { gate->Wait(); });
  });
}

int cuEventCreate(void** event, unsigned flags) {
  return CallDriver("cuEventCreate", [&] {
    if (flags > twotower::cuda::kEventDisableTiming) throw DriverStatus{kInvalidValue};
    Gpu& gpu = CurrentGpu();
    auto created = std::make_shared<Event>();
    created->device = gpu.ordinal;
    *event = Events().Add(std::move(created));
    gpu.events.created++;
  });
}

int cuEventRecord(void* event, void* stream) {
  return CallDriver("cuEventRecord", [&] {
    const auto recorded = EventOf(event);
    const auto on = StreamOf(stream);
    if (on->device != recorded->device) throw DriverStatus{kInvalidHandle};
    const std::lock_guard<std::mutex> lock(recorded->mutex);
    recorded->recorded = std::make_shared<Gate>();
    on->Enqueue([gate = recorded->recorded] { gate->Open(); });
  });
}

int cuEventDestroy_v2(void* event) {
  return CallDriver("cuEventDestroy", [&] {
    const auto destroyed = Events().Remove(event);
    if (destroyed == nullptr) throw DriverStatus{kInvalidHandle};
    GpuOf(destroyed->device).events.destroyed++;
  });
}

int cuModuleLoadData(void** module, const void* image) {
  return CallDriver("cuModuleLoadData", [&] {
    Gpu& gpu = CurrentGpu();
    if (std::strncmp(static_cast<const char*>(image), kImagePrefix, sizeof(kImagePrefix) - 1) != 0) {
      throw DriverStatus{kInvalidImage};
    }
    if (ImageOf(TheSettings().capability) != static_cast<const char*>(image)) {
      throw DriverStatus{kNoBinaryForGpu};
    }
    *module = Modules().Add(std::make_shared<Module>(Module{gpu.ordinal}));
    gpu.modules.created++;
  });
}

int cuModuleUnload(void* module) {
  return CallDriver("cuModuleUnload", [&] {
    const auto unloaded = Modules().Remove(module);
    if (unloaded == nullptr) throw DriverStatus{kInvalidHandle};
    Functions().RemoveIf([&](const Function& function) { return function.module == module; });
    GpuOf(unloaded->device).modules.destroyed++;
  });
}

int cuModuleGetFunction(void** function, void* module, const char* name) {
  return CallDriver("cuModuleGetFunction", [&] {
    const auto of = Modules().Find(module);
    if (of == nullptr) throw DriverStatus{kInvalidHandle};
    for (const Kernel* kernel = kKernels; kernel < kKernels + kKernelCount; kernel++) {
      if (std::strcmp(kernel->name, name) != 0) continue;
      const Function found{of->device, module, kernel};
      *function = Functions().Add(std::make_shared<Function>(found));
      return;
    }
    throw DriverStatus{kNotFound};
  });
}

int cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                   void* stream, void** parameters, void** extra) {
  return CallDriver("cuLaunchKernel", [&] {
    const auto launched = Functions().Find(function);
    const auto on = StreamOf(stream);
    if (launched == nullptr || on->device != launched->device) throw DriverStatus{kInvalidHandle};
    const Dimensions blocks{grid_x, grid_y, grid_z};
    const Dimensions threads{block_x, block_y, block_z};
    const uint64_t count = uint64_t{block_x} * block_y * block_z;
    if (grid_x == 0 || grid_y == 0 || grid_z == 0 || count == 0 || count > kMostThreads ||
        grid_y > kMostBlocks || grid_z > kMostBlocks || shared_bytes != 0 || extra != nullptr) {
      throw DriverStatus{kInvalidValue};
    }
    const bool is_reversed = on->launches++ % 2 == 1;
    on->Enqueue([=, kernel = launched->kernel->bind(parameters)] {
      RunGrid(kernel, blocks, threads, is_reversed);
    });
  });
}

}  // namespace cuda_double
