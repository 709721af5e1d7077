// The driver's functions of memory.

#include <cstring>
#include <memory>
#include <vector>

#include "driver.h"
#include "host_memory.h"
#include "settings.h"

namespace cuda_double {
namespace {

void* Pointer(Address address) { return reinterpret_cast<void*>(address); }

void EnqueueCopy(Stream& stream, void* to, const void* from, size_t bytes) {
  stream.Enqueue([=] { std::memmove(to, from, bytes); });
}

}  // namespace

int cuMemAlloc_v2(Address* address, size_t bytes) {
  return ContextCall(__func__, [&](Gpu& gpu) { *address = gpu.Allocate(bytes); });
}

int cuMemFree_v2(Address address) {
  return ContextCall(__func__, [&](Gpu&) {
    for (const auto& gpu : Gpus()) {
      if (gpu->Free(address)) return;
    }
    throw DriverStatus{kInvalidValue};
  });
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
  return ContextCall(__func__, [&](Gpu& gpu) {
    *total = TheSettings().memory;
    *free = *total - gpu.used();
  });
}

int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto target = StreamOf(stream);
    if (bytes == 0) return;
    OwnerOf(to, bytes);
    if (IsLocked(from, bytes)) return EnqueueCopy(*target, Pointer(to), from, bytes);
    // The caller may change what is not page-locked as soon as this returns.
    const auto* first = static_cast<const char*>(from);
    const auto staged = std::make_shared<std::vector<char>>(first, first + bytes);
    target->Enqueue([=] { std::memcpy(Pointer(to), staged->data(), bytes); });
  });
}

int cuMemcpyHtoD_v2(Address to, const void* from, size_t bytes) {
  return ContextCall(__func__, [&](Gpu&) {
    if (bytes == 0) return;
    OwnerOf(to, bytes);
    std::memcpy(Pointer(to), from, bytes);
  });
}

int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto source = StreamOf(stream);
    if (bytes == 0) return;
    OwnerOf(from, bytes);
    EnqueueCopy(*source, to, Pointer(from), bytes);
  });
}

int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto target = StreamOf(stream);
    if (bytes == 0) return;
    OwnerOf(to, bytes);
    OwnerOf(from, bytes);
    EnqueueCopy(*target, Pointer(to), Pointer(from), bytes);
  });
}

int cuMemcpyPeerAsync(Address to, void* to_context, Address from, void* from_context, size_t bytes,
                      void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto target = StreamOf(stream);
    const Gpu& to_gpu = GpuOfContext(to_context);
    const Gpu& from_gpu = GpuOfContext(from_context);
    if (bytes == 0) return;
    Require(to_gpu.Has(to, bytes) && from_gpu.Has(from, bytes), kInvalidValue);
    EnqueueCopy(*target, Pointer(to), Pointer(from), bytes);
  });
}

}  // namespace cuda_double
