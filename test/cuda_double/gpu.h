// The GPUs of the double: their memory, and what programs created there.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_GPU_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_GPU_H_

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "call.h"
#include "handles.h"
#include "kernel_table.h"
#include "stream.h"

namespace cuda_double {

struct Event {
  int device;
  bool is_timed;
  std::mutex mutex;
  // Of the latest record; null before the first.
  std::shared_ptr<Gate> recorded;
};

struct Module {
  int device;
};

struct Function {
  int device;
  const void* module;
  const Kernel* kernel;
};

class Gpu {
 public:
  // `index` is the GPU's number in the machine, `ordinal` among those that the program sees.
  Gpu(int ordinal, int index) : ordinal(ordinal), index(index) {}

  // Of a program's primary context, which is the only one. Destroying it frees what the program left in it.
  void* context() { return this; }
  void RetainContext();
  void ReleaseContext();
  bool has_context() const;

  Address Allocate(size_t bytes);
  // False if there is no such address. Waits for all streams first.
  bool Free(Address address);
  size_t used() const;

  // Whether an allocation has all these bytes.
  bool Has(Address address, size_t bytes) const;

  void* CreateStream();
  // Waits for all streams, also those that were destroyed before they had done everything.
  void Synchronize();

  void EnablePeer(int peer);
  bool CanAccess(int peer) const;

  // One object of JSON.
  std::string Report() const;

  const int ordinal;
  const int index;
  Count allocations;
  Count streams;
  Count events;
  Count modules;

 private:
  struct Allocation {
    size_t bytes;
    void* memory;
  };

  void DestroyContext();

  mutable std::mutex mutex_;
  int context_users_ = 0;
  std::map<Address, Allocation> allocations_;
  size_t used_ = 0;
  size_t peak_ = 0;
  // Bytes that the context's end freed, not the program.
  size_t abandoned_ = 0;
  std::vector<std::weak_ptr<Stream>> streams_;
  std::set<int> peers_;
};

// All GPUs that the program sees.
const std::vector<std::unique_ptr<Gpu>>& Gpus();

// The GPU of this ordinal, or of this context; throws the driver's status if there is none.
Gpu& GpuOf(int ordinal);
Gpu& GpuOfContext(const void* context);

// The GPU of the calling thread's current context; throws if there is none.
Gpu& CurrentGpu();
void SetCurrent(void* context);

Handles<Stream>& Streams();
Handles<Event>& Events();
Handles<Module>& Modules();
Handles<Function>& Functions();

// The stream of this handle; throws if there is none. The double has no default stream.
std::shared_ptr<Stream> StreamOf(const void* handle);

// The GPU whose allocation has all these bytes; throws if there is none.
Gpu& OwnerOf(Address address, size_t bytes);

// Ends the program's use of all GPUs, as an illegal access does, unless a kernel of the GPU can access these bytes.
void CheckAccess(Gpu& gpu, const void* address, size_t bytes, const char* operand);

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_GPU_H_
