// The GPU that the calling thread computes on: its context, one stream, the compiled kernels, scratch memory, handles of
// cuBLASLt and cuDNN.
//
// All work of a thread goes to its one stream, in order. So memory that is given back can be used again at once, by work that
// is enqueued later. Functions return when their work is enqueued; Read alone waits for it. What fails on the device is
// therefore reported by a later call.

#ifndef TWOTOWER_NATIVE_CUDA_DEVICE_H_
#define TWOTOWER_NATIVE_CUDA_DEVICE_H_

#include <cstddef>
#include <string>
#include <unordered_map>

#include "api.h"

namespace twotower::cuda {

// Blocks of a launch, and threads of each of them.
struct Grid {
  unsigned blocks_x, blocks_y;
  unsigned threads_x, threads_y;

  // One thread an element, in blocks of 256; kernels step by the grid's size, which is bounded.
  static Grid Of(size_t elements);
};

class Device {
 public:
  // The calling thread's device; throws std::runtime_error if it opened none.
  static Device& OfThread();

  // Opens the device of this ordinal for the calling thread and compiles the kernels for it, which a process does once for an
  // architecture. `source` is the text of all files in kernels/.
  static Device& Open(int ordinal, const std::string& source);

  // Ends the calling thread's use of its device: everything that it holds there is freed.
  static void Close();

  int ordinal() const { return ordinal_; }
  void* stream() const { return stream_; }
  void* context() const { return context_; }
  void* cublas_lt() const { return cublas_lt_; }
  void* cudnn() const { return cudnn_; }

  // Enqueues a kernel of kernels/ with these parameters, which must have exactly the types of the kernel's own.
  // Nothing is done for a grid without blocks.
  template <typename... Parameters>
  void Launch(const char* kernel, const Grid& grid, const Parameters&... parameters) {
    void* list[] = {const_cast<void*>(static_cast<const void*>(&parameters))...};
    Enqueue(kernel, grid, list);
  }

  // Copies between host and device. Write returns when `from` may be changed, Read when `to` is there.
  void Write(void* to, const void* from, size_t bytes);
  void Read(void* to, const void* from, size_t bytes);
  void Copy(void* to, const void* from, size_t bytes);
  void FillBytes(void* to, unsigned char value, size_t bytes);

  // Waits for everything that was enqueued.
  void Synchronize();

  // Throws OutOfMemory, whose message says how much was asked for and how much is free.
  Address Allocate(size_t bytes);
  void Free(Address address);

 private:
  friend class Scratch;

  Device(int ordinal, const std::string& source);
  ~Device();
  void Enqueue(const char* kernel, const Grid& grid, void** parameters);
  void* FunctionOf(const char* kernel);

  int ordinal_;
  int device_ = 0;
  void* context_ = nullptr;
  void* stream_ = nullptr;
  void* module_ = nullptr;
  void* cublas_lt_ = nullptr;
  void* cudnn_ = nullptr;
  // By the address of the name, which is a literal.
  std::unordered_map<const char*, void*> functions_;

  // Scratch memory is a stack: what is taken last is given back first.
  Address arena_ = 0;
  size_t arena_bytes_ = 0;
  size_t arena_used_ = 0;
  size_t arena_wanted_ = 0;
};

// Memory of the calling thread's device for the work that is enqueued while this exists. Its contents are undefined.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <typename Element>
  Element* As() const {
    return reinterpret_cast<Element*>(address_);
  }

 private:
  Address address_;
  size_t bytes_;
  // Whether it is no part of the arena, which was too small.
  bool is_own_;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_DEVICE_H_
