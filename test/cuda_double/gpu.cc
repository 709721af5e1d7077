#include "gpu.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "settings.h"

namespace cuda_double {
namespace {

thread_local void* current_context = nullptr;

}  // namespace

// Nothing here is ever destroyed: streams may run while the process ends.
const std::vector<std::unique_ptr<Gpu>>& Gpus() {
  static const auto& gpus = *[] {
    auto* made = new std::vector<std::unique_ptr<Gpu>>();
    for (const int index : TheSettings().visible) {
      made->push_back(std::make_unique<Gpu>(static_cast<int>(made->size()), index));
    }
    return made;
  }();
  return gpus;
}

Handles<Stream>& Streams() {
  static auto& streams = *new Handles<Stream>();
  return streams;
}

Handles<Event>& Events() {
  static auto& events = *new Handles<Event>();
  return events;
}

Handles<Module>& Modules() {
  static auto& modules = *new Handles<Module>();
  return modules;
}

Handles<Function>& Functions() {
  static auto& functions = *new Handles<Function>();
  return functions;
}

Gpu& GpuOf(int ordinal) {
  const auto& gpus = Gpus();
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= gpus.size()) {
    throw DriverStatus{kInvalidDevice};
  }
  return *gpus[static_cast<size_t>(ordinal)];
}

Gpu& GpuOfContext(const void* context) {
  for (const auto& gpu : Gpus()) {
    if (gpu->context() == context && gpu->has_context()) return *gpu;
  }
  throw DriverStatus{kInvalidContext};
}

Gpu& CurrentGpu() {
  if (current_context == nullptr) throw DriverStatus{kInvalidContext};
  Gpu& gpu = *static_cast<Gpu*>(current_context);
  if (!gpu.has_context()) throw DriverStatus{kContextIsDestroyed};
  return gpu;
}

void SetCurrent(void* context) { current_context = context; }

std::shared_ptr<Stream> StreamOf(const void* handle) {
  auto stream = Streams().Find(handle);
  if (stream == nullptr) throw DriverStatus{kInvalidHandle};
  return stream;
}

Gpu& OwnerOf(Address address, size_t bytes) {
  for (const auto& gpu : Gpus()) {
    if (gpu->Has(address, bytes)) return *gpu;
  }
  throw DriverStatus{kInvalidValue};
}

void CheckAccess(Gpu& gpu, const void* address, size_t bytes, const char* operand) {
  if (bytes == 0) return;
  for (const auto& owner : Gpus()) {
    if (!owner->Has(reinterpret_cast<Address>(address), bytes)) continue;
    if (owner.get() == &gpu || gpu.CanAccess(owner->ordinal)) return;
  }
  std::fprintf(stderr, "CUDA double: Test GPU %d cannot access %s: %zu bytes at %p\n", gpu.index,
               operand, bytes, address);
  LoseGpus(kIllegalAddress);
  throw DriverStatus{kIllegalAddress};
}

void Gpu::RetainContext() {
  std::lock_guard<std::mutex> lock(mutex_);
  context_users_++;
}

void Gpu::ReleaseContext() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (context_users_ == 0) throw DriverStatus{kInvalidContext};
    if (--context_users_ > 0) return;
  }
  DestroyContext();
}

bool Gpu::has_context() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return context_users_ > 0;
}

void Gpu::DestroyContext() {
  Synchronize();
  const auto is_here = [this](const auto& object) { return object.device == ordinal; };
  Streams().RemoveIf([&](Stream& stream) {
    if (is_here(stream)) stream.End();
    return is_here(stream);
  });
  Events().RemoveIf(is_here);
  Modules().RemoveIf(is_here);
  Functions().RemoveIf(is_here);
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [address, allocation] : allocations_) std::free(allocation.memory);
  allocations_.clear();
  abandoned_ += used_;
  used_ = 0;
  peers_.clear();
}

Address Gpu::Allocate(size_t bytes) {
  if (bytes == 0) throw DriverStatus{kInvalidValue};
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > TheSettings().memory - used_) throw DriverStatus{kOutOfMemory};
    used_ += bytes;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes) != 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    used_ -= bytes;
    throw DriverStatus{kOutOfMemory};
  }
  // NaN in both float32 and bfloat16, for whoever reads what was never written.
  std::memset(memory, 0xff, bytes);
  const auto address = reinterpret_cast<Address>(memory);
  std::lock_guard<std::mutex> lock(mutex_);
  allocations_[address] = {bytes, memory};
  if (used_ > peak_) peak_ = used_;
  allocations.created++;
  return address;
}

bool Gpu::Free(Address address) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (allocations_.count(address) == 0) return false;
  }
  Synchronize();
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = allocations_.find(address);
  if (found == allocations_.end()) return false;
  std::free(found->second.memory);
  used_ -= found->second.bytes;
  allocations_.erase(found);
  allocations.destroyed++;
  return true;
}

size_t Gpu::used() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return used_;
}

bool Gpu::Has(Address address, size_t bytes) const {
  std::lock_guard<std::mutex> lock(mutex_);
  auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return false;
  const auto& [first, allocation] = *--next;
  return address - first <= allocation.bytes && bytes <= allocation.bytes - (address - first);
}

void* Gpu::CreateStream() {
  auto stream = Stream::Start(ordinal);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::weak_ptr<Stream>> running;
    for (auto& other : streams_) {
      if (!other.expired()) running.push_back(other);
    }
    running.push_back(stream);
    streams_ = std::move(running);
  }
  streams.created++;
  return Streams().Add(std::move(stream));
}

void Gpu::Synchronize() {
  std::vector<std::weak_ptr<Stream>> running;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    running = streams_;
  }
  for (const auto& weak : running) {
    if (const auto stream = weak.lock()) stream->Synchronize();
  }
}

void Gpu::EnablePeer(int peer) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!peers_.insert(peer).second) throw DriverStatus{kPeerAccessAlreadyEnabled};
}

bool Gpu::CanAccess(int peer) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return peers_.count(peer) > 0;
}

}  // namespace cuda_double
