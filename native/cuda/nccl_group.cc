#include "nccl_group.h"

#include "libraries.h"

namespace twotower::cuda {

NcclGroup::NcclGroup(const NcclId& id, int rank, int size) {
  CheckNccl(TheNccl().join(&group_, size, id, rank), "ncclCommInitRank");
  CheckDriver(TheDriver().streamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
  CheckDriver(TheDriver().eventCreate(&worked_, kEventDisableTiming), "cuEventCreate");
}

// Nothing is checked: what has failed fails here again. Destroying the group would wait for the other processes.
NcclGroup::~NcclGroup() {
  TheNccl().abort(group_);
  TheDriver().streamSynchronize(stream_);
  for (const Sum& sum : sums_) {
    TheDriver().eventDestroy(sum.began);
    TheDriver().eventDestroy(sum.ended);
  }
  TheDriver().eventDestroy(worked_);
  TheDriver().streamDestroy(stream_);
}

size_t NcclGroup::AllReduce(void* work, float* values, size_t length) {
  const Driver& driver = TheDriver();
  const Sum& sum = NextSum();
  CheckDriver(driver.eventRecord(worked_, work), "cuEventRecord");
  CheckDriver(driver.streamWaitEvent(stream_, worked_, 0), "cuStreamWaitEvent");
  CheckDriver(driver.eventRecord(sum.began, stream_), "cuEventRecord");
  CheckNccl(TheNccl().allReduce(values, values, length, kNcclFloat32, kNcclSum, group_, stream_),
            "ncclAllReduce");
  CheckDriver(driver.eventRecord(sum.ended, stream_), "cuEventRecord");
  return begun_++;
}

NcclGroup::Sum& NcclGroup::NextSum() {
  if (begun_ == sums_.size()) {
    Sum sum;
    CheckDriver(TheDriver().eventCreate(&sum.began, 0), "cuEventCreate");
    CheckDriver(TheDriver().eventCreate(&sum.ended, 0), "cuEventCreate");
    sums_.push_back(sum);
  }
  return sums_[begun_];
}

void NcclGroup::FinishBefore(void* work, size_t sum) {
  CheckDriver(TheDriver().streamWaitEvent(work, sums_.at(sum).ended, 0), "cuStreamWaitEvent");
}

bool NcclGroup::AreDone() {
  int failure = 0;
  CheckNccl(TheNccl().failure(group_, &failure), "ncclCommGetAsyncError");
  if (failure != kNcclInProgress) CheckNccl(failure, "ncclAllReduce");
  const int status = TheDriver().streamQuery(stream_);
  if (status != kNotReady) CheckDriver(status, "cuStreamQuery");
  return status == 0;
}

float NcclGroup::TakeMs() {
  float total = 0;
  for (size_t i = 0; i < begun_; i++) {
    float milliseconds = 0;
    CheckDriver(TheDriver().eventElapsedTime(&milliseconds, sums_[i].began, sums_[i].ended),
                "cuEventElapsedTime");
    total += milliseconds;
  }
  begun_ = 0;
  return total;
}

}  // namespace twotower::cuda
