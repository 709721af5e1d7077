#include "scratch.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <new>

namespace twotower {
namespace {

// Memory that grows to the largest request.
class ScratchMemory {
 public:
  ~ScratchMemory() { std::free(data_); }

  void* AtLeast(size_t bytes) {
    if (bytes <= size_) return data_;
    std::free(data_);
    size_ = 0;
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    data_ = std::aligned_alloc(4096, rounded);
    if (data_ == nullptr) throw std::bad_alloc();
    AskForLargePages(data_, rounded);
    size_ = rounded;
    return data_;
  }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace

void AskForLargePages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + page - 1) / page * page;
  const uintptr_t end = (address + bytes) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

void* ScratchFor(ScratchPurpose purpose, size_t bytes) {
  static thread_local ScratchMemory memories[static_cast<size_t>(ScratchPurpose::kCount)];
  return memories[static_cast<size_t>(purpose)].AtLeast(bytes);
}

}  // namespace twotower
