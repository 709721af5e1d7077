// The GPU that the calling thread computes or decodes on: its context, one stream, the compiled kernels, scratch memory,
// handles of cuBLASLt and cuDNN, or of nvJPEG.
//
// All work of a thread goes to its one stream, in order. So memory that is given back can be used again at once, by work that
// is enqueued later. Functions return when their work is enqueued; Read alone waits for it. What fails on the device is
// therefore reported by a later call.

#ifndef TWOTOWER_NATIVE_CUDA_DEVICE_H_
#define TWOTOWER_NATIVE_CUDA_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api.h"
#include "downloads.h"
#include "jpegs.h"
#include "nccl_group.h"
#include "uploads.h"

namespace twotower::cuda {

// Blocks of a launch, and threads of each of them.
struct Grid {
  unsigned blocks_x, blocks_y;
  unsigned threads_x, threads_y;

  // A thread per element, in blocks of 256. The number of blocks is bounded, because kernels step by the grid's size.
  static Grid Of(size_t elements);
};

class Device {
 public:
  // The calling thread's device; throws std::runtime_error if it opened none.
  static Device& OfThread();
  // The same, or nullptr.
  static Device* IfOpen();

  // What a thread opens a device for. Only one that computes has handles of cuBLASLt and cuDNN.
  enum class Use { kComputing, kDecoding };

  // Opens the device of this ordinal for the calling thread and compiles the kernels for it, which a process does once for an
  // architecture. `source` is the text of all files in kernels/. `share`, from 0 to 1, is the part of the device's memory that
  // this thread may hold. Throws DeviceError.
  static Device& Open(int ordinal, const std::string& source, double share, Use use);

  // Ends the calling thread's use of its device: everything that it holds there is freed.
  static void Close();

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  int ordinal() const { return ordinal_; }
  const std::string& name() const { return name_; }
  int capability_major() const { return capability_major_; }
  void* context() const { return context_; }
  void* stream() const { return stream_; }
  void* cublas_lt() const { return cublas_lt_; }
  void* cudnn() const { return cudnn_; }

  // Enqueues a kernel of kernels/. The parameters must have exactly the types of the kernel's own, and the name must be a
  // literal. Nothing is done for a grid without blocks.
  template <typename... Parameters>
  void Launch(const char* kernel, const Grid& grid, const Parameters&... parameters) {
    void* list[] = {const_cast<void*>(static_cast<const void*>(&parameters))...};
    Enqueue(kernel, grid, list);
  }

  // Copies between host and device. Write returns when `from` may be changed, unless that is page-locked: then it may be changed
  // once the copy is done. Read returns when `to` is there.
  void Write(void* to, const void* from, size_t bytes);
  void Read(void* to, const void* from, size_t bytes);
  void Copy(void* to, const void* from, size_t bytes);

  // Waits for everything that was enqueued.
  void Synchronize();
  // Throws what has failed on the device so far, without waiting for it.
  void ThrowIfFailed();

  // exchange.cc:
  // An event, which exists until Close. RecordEvent makes it happen when the device has done what was enqueued so far. Another
  // thread that waits for it does not wait itself: what it enqueues from then on does.
  void* CreateEvent(bool is_timed);
  // Milliseconds between two timed events, both of which have happened.
  float ElapsedMs(void* start, void* end);
  void RecordEvent(void* event);
  void WaitForEvent(void* event);
  // Whether kernels here can read the memory of that GPU. If not, CopyFromPeer brings it across.
  bool ReadsInPlace(int ordinal);
  void CopyFromPeer(int ordinal, void* to, Address from, size_t bytes);

  // graph.cc:
  // Work that is recorded instead of done. The memory that it uses must stay, and so must the events that it records.
  struct Graph {
    void* executable = nullptr;
    // Where dropout masks find their keys, two words each, in the order in which they were asked for.
    Address keys = 0;
    size_t key_count = 0;
    // Which scratch memory it uses.
    int arena_generation = 0;
  };

  // What is enqueued until EndGraph is recorded. Nothing can be read or waited for meanwhile. Values that are written are
  // constants of the graph: they are there at once.
  void BeginGraph();
  std::unique_ptr<Graph> EndGraph();
  // Forgets what was recorded, if work is recorded.
  void AbandonGraph();
  bool is_recording() const { return recorded_ != nullptr; }

  // Enqueues all that was recorded, with these dropout keys. False if scratch memory has moved since: then nothing is done, and
  // the work must be recorded again.
  bool Repeat(const Graph& graph, const int32_t* keys, size_t count);
  void FreeGraph(Graph& graph);

  // Where a dropout mask that is recorded finds its key; nullptr if none is recorded.
  const uint32_t* NextKeyPlace();

  // Copies that go on beside all other work.
  Uploads& uploads();
  Downloads& downloads();

  // Decoding of JPEGs. Throws DeviceError without nvJPEG.
  Jpegs& jpegs();

  // The group with which this thread sums over processes; nullptr before it has joined one.
  NcclGroup* nccl() { return nccl_.get(); }
  void JoinNccl(const NcclId& id, int rank, int size) {
    nccl_ = std::make_unique<NcclGroup>(id, rank, size);
  }

  // Throws DeviceMemoryError if there is not so much, with what is there. Free, which waits for the device, or Close frees it.
  Address Allocate(size_t bytes);
  void Free(Address address);

  // Called before an allocation is given up. It may free what the caller can do without.
  void WhenFull(std::function<void()> make_room) { make_room_ = std::move(make_room); }

  struct Memory {
    size_t held;   // by this thread
    size_t limit;  // of what this thread may hold
    size_t free;   // of the device
    size_t total;  // of the device
  };
  Memory MemoryNow() const;
  size_t held() const { return held_; }

 private:
  friend class Scratch;

  Device(int ordinal, double share);
  void Prepare(const std::string& source, Use use);
  std::string OutOfMemory(size_t bytes) const;
  // 0 if there is not so much.
  Address TryAllocate(size_t bytes);
  void Enqueue(const char* kernel, const Grid& grid, void** parameters);

  int ordinal_;
  int device_ = 0;
  std::string name_;
  int capability_major_ = 0;
  void* context_ = nullptr;
  void* stream_ = nullptr;
  void* module_ = nullptr;
  void* cublas_lt_ = nullptr;
  void* cudnn_ = nullptr;
  // Kernels by the address of their name.
  std::unordered_map<const char*, void*> functions_;
  // Bytes of each allocation.
  std::unordered_map<Address, size_t> allocated_;
  size_t held_ = 0;
  size_t limit_ = 0;
  std::function<void()> make_room_;
  std::vector<void*> events_;
  std::unique_ptr<Graph> recorded_;
  std::unique_ptr<Uploads> uploads_;
  std::unique_ptr<Jpegs> jpegs_;
  std::unique_ptr<Downloads> downloads_;
  std::unique_ptr<NcclGroup> nccl_;

  // Another GPU, with its primary context, which its own worker uses too.
  struct Peer {
    int device = 0;
    void* context = nullptr;
    bool is_readable = false;
  };
  Peer& PeerOf(int ordinal);
  std::unordered_map<int, Peer> peers_;

  // Makes scratch memory, none of which is in use, as large as was wanted.
  void GrowArena();

  // Scratch memory is a stack: what is taken last is given back first.
  Address arena_ = 0;
  size_t arena_bytes_ = 0;
  size_t arena_used_ = 0;
  size_t arena_wanted_ = 0;
  // How often it has moved.
  int arena_generation_ = 0;
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
  // Of the arena; 0 if the arena was too small, and this memory was allocated alone.
  size_t arena_bytes_ = 0;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_DEVICE_H_
