// NCCL: sums over processes of one machine, which meet in a file of shared memory that the unique id names.
//
// A sum is work of its stream. Each process writes a piece of its values to a place of its own, waits for all, and adds all
// pieces in the order of the ranks, so that all have the same bits.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>

#include "driver.h"

namespace cuda_double {
namespace {

constexpr int kInvalidArgument = 4;  // ncclInvalidArgument
constexpr int kMostRanks = 64;
constexpr size_t kPiece = 1 << 18;
constexpr useconds_t kPollMicroseconds = 20;

// At the beginning of the file; the ranks' pieces follow.
struct Meeting {
  // How often each rank has come to a barrier.
  std::atomic<uint64_t> arrivals[kMostRanks];
};

class NcclCommunicator {
 public:
  NcclCommunicator(const char* name, int rank, int size) : rank_(rank), size_(size) {
    const int file = shm_open(name, O_CREAT | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, static_cast<off_t>(Bytes())) != 0) throw Status{2};
    void* memory = mmap(nullptr, Bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) throw Status{2};
    meeting_ = static_cast<Meeting*>(memory);
    Meet();
    if (rank == 0) shm_unlink(name);
  }
  ~NcclCommunicator() { munmap(meeting_, Bytes()); }

  void Sum(const float* from, float* to, size_t length) {
    for (size_t at = 0; at < length; at += kPiece) {
      const size_t count = std::min(kPiece, length - at);
      std::memcpy(PieceOf(rank_), from + at, count * sizeof(float));
      if (!Meet()) return;
      for (size_t i = 0; i < count; i++) {
        float sum = PieceOf(0)[i];
        for (int rank = 1; rank < size_; rank++) sum += PieceOf(rank)[i];
        to[at + i] = sum;
      }
      if (!Meet()) return;
    }
  }

  void Abort() { is_aborted_ = true; }

 private:
  size_t Bytes() const { return sizeof(Meeting) + size_ * kPiece * sizeof(float); }

  float* PieceOf(int rank) { return reinterpret_cast<float*>(meeting_ + 1) + rank * kPiece; }

  // Returns whether all ranks have come here; false once the communicator is aborted.
  bool Meet() {
    meeting_->arrivals[rank_] = ++meetings_;
    for (int rank = 0; rank < size_; rank++) {
      while (meeting_->arrivals[rank] < meetings_) {
        if (is_aborted_) return false;
        usleep(kPollMicroseconds);
      }
    }
    return true;
  }

  int rank_;
  int size_;
  Meeting* meeting_ = nullptr;
  uint64_t meetings_ = 0;
  std::atomic<bool> is_aborted_{false};
};

Handles<NcclCommunicator>& Communicators() {
  static Handles<NcclCommunicator>& communicators = *new Handles<NcclCommunicator>();
  return communicators;
}

std::shared_ptr<NcclCommunicator> CommunicatorOf(const void* handle) {
  auto found = Communicators().Find(handle);
  if (found == nullptr) throw Status{kInvalidArgument};
  return found;
}

template <typename Body>
int NcclCall(const char* symbol, const Body& body) noexcept {
  return Call(Library::kNccl, symbol, body);
}

}  // namespace

int ncclGetVersion(int* version) {
  return NcclCall(__func__, [&] { *version = 23007; });
}

int ncclGetUniqueId(void* id) {
  return NcclCall(__func__, [&] {
    static std::atomic<int> ids{0};
    char* const name = static_cast<NcclId*>(id)->bytes;
    std::memset(name, 0, sizeof(NcclId));
    std::snprintf(name, sizeof(NcclId), "/twotower-nccl-%d-%d", getpid(), ++ids);
  });
}

int ncclCommInitRank(void** group, int ranks, NcclId id, int rank) {
  return NcclCall(__func__, [&] {
    CurrentGpu();
    if (ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks || id.bytes[0] != '/') {
      throw Status{kInvalidArgument};
    }
    *group = Communicators().Add(std::make_shared<NcclCommunicator>(id.bytes, rank, ranks));
  });
}

// Works for a GPU that was lost, too.
int ncclCommAbort(void* group) {
  const auto removed = Communicators().Remove(group);
  if (removed == nullptr) return kInvalidArgument;
  removed->Abort();
  return 0;
}

int ncclCommGetAsyncError(void* group, int* status) {
  return NcclCall(__func__, [&] {
    CommunicatorOf(group);
    *status = 0;
  });
}

int ncclAllReduce(const void* from, void* to, size_t count, int type, int operation, void* group,
                  void* stream) {
  return NcclCall(__func__, [&] {
    const auto communicator = CommunicatorOf(group);
    if (type != twotower::cuda::kNcclFloat32 || operation != twotower::cuda::kNcclSum) {
      throw Status{kInvalidArgument};
    }
    const size_t bytes = count * sizeof(float);
    OwnerOf(reinterpret_cast<Address>(from), bytes);
    OwnerOf(reinterpret_cast<Address>(to), bytes);
    StreamOf(stream)->Enqueue([=] {
      if (AreGpusLostHere()) return;
      communicator->Sum(static_cast<const float*>(from), static_cast<float*>(to), count);
    });
  });
}

extern "C" __attribute__((visibility("default"))) const char* ncclGetErrorString(int status) {
  return status == 6 ? "remote process exited or there was a network error" : "unhandled error";
}

}  // namespace cuda_double
