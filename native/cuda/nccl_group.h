// Sums over processes that have a GPU each, by NCCL. They go on beside the device's work, on a stream of their own.

#ifndef TWOTOWER_NATIVE_CUDA_NCCL_GROUP_H_
#define TWOTOWER_NATIVE_CUDA_NCCL_GROUP_H_

#include <cstddef>
#include <vector>

#include "api.h"

namespace twotower::cuda {

// Of one thread's device, whose context must be current in every call. All processes of the group must begin the same sums in
// the same order.
class NcclGroup {
 public:
  // Waits until all `size` processes have joined by the same id.
  NcclGroup(const NcclId& id, int rank, int size);
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  // Ends the sums that are under way; waits for no other process.
  ~NcclGroup();

  // Begins to replace values by their sums, once what is enqueued on the stream `work` is done. Nothing else may use them until
  // FinishBefore. Returns the number of the sum.
  size_t AllReduce(void* work, float* values, size_t length);
  // What is enqueued on `work` from now on waits for the sum; the thread does not.
  void FinishBefore(void* work, size_t sum);
  // Whether all sums are done. Throws what NCCL or the device has failed of.
  bool AreDone();
  // Milliseconds for which sums were under way since the last call; all must be done. Their numbers begin again.
  float TakeMs();

 private:
  // Events around a sum, which are used again.
  struct Sum {
    void* began = nullptr;
    void* ended = nullptr;
  };
  Sum& NextSum();

  void* group_ = nullptr;
  void* stream_ = nullptr;
  void* worked_ = nullptr;
  std::vector<Sum> sums_;
  size_t begun_ = 0;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_NCCL_GROUP_H_
