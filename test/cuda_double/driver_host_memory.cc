// The driver's functions of host memory.

#include "host_memory.h"

#include <cstdint>
#include <map>
#include <mutex>

#include "driver.h"
#include "report.h"
#include "settings.h"

namespace cuda_double {
namespace {

std::mutex mutex;

// Bytes by the address of the first.
std::map<uintptr_t, size_t>& Registrations() {
  static auto& registrations = *new std::map<uintptr_t, size_t>();
  return registrations;
}

// The first registration that has any of these bytes, or the end.
std::map<uintptr_t, size_t>::iterator OverlapWith(uintptr_t first, size_t bytes) {
  auto& all = Registrations();
  for (auto found = all.begin(); found != all.end(); ++found) {
    if (found->first < first + bytes && first < found->first + found->second) return found;
  }
  return all.end();
}

}  // namespace

bool IsLocked(const void* memory, size_t bytes) {
  const auto first = reinterpret_cast<uintptr_t>(memory);
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = OverlapWith(first, bytes);
  if (found == Registrations().end()) return false;
  const bool is_whole =
      found->first <= first && first + bytes <= found->first + found->second;
  Require(is_whole, kInvalidValue);
  return true;
}

int cuMemHostRegister_v2(void* memory, size_t bytes, unsigned flags) {
  return ContextCall(__func__, [&](Gpu&) {
    Require(memory != nullptr && bytes > 0, kInvalidValue);
    // Without CU_MEMHOSTREGISTER_PORTABLE, other GPUs would see pageable memory, which the double does not have.
    Require(flags == twotower::cuda::kHostRegisterPortable, kInvalidValue);
    Require(bytes <= TheSettings().lockable, kOutOfMemory);
    const auto first = reinterpret_cast<uintptr_t>(memory);
    const std::lock_guard<std::mutex> lock(mutex);
    Require(OverlapWith(first, bytes) == Registrations().end(), kHostMemoryAlreadyRegistered);
    Registrations()[first] = bytes;
    TheLibraryCounts().host_memory.created++;
  });
}

int cuMemHostUnregister(void* memory) {
  return ContextCall(__func__, [&](Gpu&) {
    // Copies may still read it.
    for (const auto& gpu : Gpus()) gpu->Synchronize();
    const std::lock_guard<std::mutex> lock(mutex);
    Require(Registrations().erase(reinterpret_cast<uintptr_t>(memory)) == 1,
            kHostMemoryNotRegistered);
    TheLibraryCounts().host_memory.destroyed++;
  });
}

}  // namespace cuda_double
