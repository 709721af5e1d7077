// Handles that programs hold of the libraries' objects. A handle is never given twice, so that one of an object that was
// destroyed, or of another kind, is noticed.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_HANDLES_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_HANDLES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace cuda_double {

// How many objects a program created and destroyed.
struct Count {
  std::atomic<uint64_t> created{0};
  std::atomic<uint64_t> destroyed{0};
};

inline void* NextHandle() {
  static std::atomic<uintptr_t> last{0x10000};
  return reinterpret_cast<void*>(last += 16);
}

template <typename Object>
class Handles {
 public:
  void* Add(std::shared_ptr<Object> object) {
    std::lock_guard<std::mutex> lock(mutex_);
    void* handle = NextHandle();
    objects_[handle] = std::move(object);
    return handle;
  }

  // Null if there is none.
  std::shared_ptr<Object> Find(const void* handle) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }

  std::shared_ptr<Object> Remove(const void* handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = objects_.find(handle);
    if (found == objects_.end()) return nullptr;
    std::shared_ptr<Object> object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

  template <typename Predicate>
  void RemoveIf(const Predicate& predicate) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto entry = objects_.begin(); entry != objects_.end();) {
      entry = predicate(*entry->second) ? objects_.erase(entry) : std::next(entry);
    }
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const void*, std::shared_ptr<Object>> objects_;
};

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_HANDLES_H_
