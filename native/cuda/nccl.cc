#include "nccl.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>

#include "device.h"
#include "libraries.h"

namespace twotower::cuda {
namespace {

// Between two looks at the stream of the sums.
constexpr useconds_t kLookSleep = 50;

constexpr int64_t kMostProcesses = 1 << 20;

NcclGroup& GroupOfThread() {
  NcclGroup* group = Device::OfThread().nccl();
  if (group == nullptr) throw std::runtime_error("this thread has joined no group of NCCL");
  return *group;
}

Span<uint8_t> IdFrom(const Arguments& arguments) {
  const Values id = arguments.HostValues(0, "id");
  CheckSameType("id", id.type, "bytes", Type::kBool);
  CheckSameLength("id", id.length, "NCCL's", sizeof(NcclId));
  return {id.As<uint8_t>(), id.length};
}

}  // namespace

napi_value NcclLibrary(Arguments& arguments) {
  int version = 0;
  CheckNccl(TheNccl().version(&version), "ncclGetVersion");
  const std::string text = std::to_string(version / 10000) + "." +
                           std::to_string(version / 100 % 100) + "." +
                           std::to_string(version % 100);
  const std::string file = NcclFile();
  const napi_env env = arguments.env();
  napi_value result, of_version, of_file;
  napi_create_object(env, &result);
  napi_create_string_utf8(env, text.data(), text.size(), &of_version);
  napi_create_string_utf8(env, file.data(), file.size(), &of_file);
  napi_set_named_property(env, result, "version", of_version);
  napi_set_named_property(env, result, "file", of_file);
  return result;
}

napi_value NewNcclId(Arguments& arguments) {
  CheckNccl(TheNccl().newId(IdFrom(arguments).data), "ncclGetUniqueId");
  return nullptr;
}

napi_value JoinNccl(Arguments& arguments) {
  NcclId id;
  std::memcpy(&id, IdFrom(arguments).data, sizeof(id));
  const auto size = static_cast<int>(arguments.Integer(2, "size", 1, kMostProcesses));
  const auto rank = static_cast<int>(arguments.Integer(1, "rank", 0, size - 1));
  Device::OfThread().JoinNccl(id, rank, size);
  return nullptr;
}

napi_value BeginNcclSum(Arguments& arguments) {
  const Span<float> values = arguments.Floats(0, "values");
  void* const work = Device::OfThread().stream();
  const size_t sum = GroupOfThread().AllReduce(work, values.data, values.length);
  return arguments.Number(static_cast<double>(sum));
}

napi_value FinishNcclSumFirst(Arguments& arguments) {
  constexpr int64_t kMostSums = 1 << 20;
  const int64_t sum = arguments.Integer(0, "sum", 0, kMostSums);
  GroupOfThread().FinishBefore(Device::OfThread().stream(), static_cast<size_t>(sum));
  return nullptr;
}

napi_value AreNcclSumsDone(Arguments& arguments) {
  constexpr double kMostMs = 1e9;
  const double milliseconds = std::clamp(arguments.Number(0, "milliseconds"), 0.0, kMostMs);
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::microseconds(static_cast<int64_t>(1000 * milliseconds));
  NcclGroup& group = GroupOfThread();
  while (!group.AreDone()) {
    if (std::chrono::steady_clock::now() >= until) return arguments.Boolean(false);
    usleep(kLookSleep);
  }
  return arguments.Boolean(true);
}

napi_value TakeNcclMs(Arguments& arguments) {
  return arguments.Number(static_cast<double>(GroupOfThread().TakeMs()));
}

}  // namespace twotower::cuda
