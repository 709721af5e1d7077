#include "copies.h"

#include "device.h"
#include "libraries.h"

namespace twotower::cuda {
namespace {

int32_t* WordFrom(const Arguments& arguments, size_t index) {
  const Values ready = arguments.HostValues(index, "ready");
  CheckSameType("ready", ready.type, "int32", Type::kInt32);
  CheckSameLength("ready", ready.length, "one", 1);
  return ready.As<int32_t>();
}

}  // namespace

napi_value LockMemory(Arguments& arguments) {
  const Values memory = arguments.HostValues(0, "memory");
  Uploads& uploads = Device::OfThread().uploads();
  const bool is_new = uploads.Lock(memory.data, memory.length * memory.ElementBytes());
  return arguments.Boolean(is_new);
}

napi_value BeginUpload(Arguments& arguments) {
  const Values from = arguments.HostValues(0, "from");
  const Values to = arguments.AnyValues(1, "to");
  CheckSameType("from", from.type, "to", to.type);
  CheckSameLength("from", from.length, "to", to.length);
  Device::OfThread().uploads().Begin(reinterpret_cast<Address>(to.data), from.data,
                                     from.length * from.ElementBytes());
  return nullptr;
}

napi_value FinishUploads(Arguments&) {
  Device::OfThread().uploads().Finish();
  return nullptr;
}

napi_value FinishUploadsFirst(Arguments&) {
  Device& device = Device::OfThread();
  device.uploads().FinishBefore(device.stream());
  return nullptr;
}

napi_value BeginDownload(Arguments& arguments) {
  const Values from = arguments.AnyValues(0, "from");
  const Values to = arguments.HostValues(1, "to");
  int32_t* const ready = WordFrom(arguments, 2);
  CheckSameType("from", from.type, "to", to.type);
  CheckSameLength("from", from.length, "to", to.length);
  Device& device = Device::OfThread();
  device.downloads().Begin(device.stream(), to.data, reinterpret_cast<Address>(from.data),
                           from.length * from.ElementBytes(), ready);
  return nullptr;
}

napi_value AnnounceValues(Arguments& arguments) {
  Device& device = Device::OfThread();
  device.downloads().Announce(device.stream(), WordFrom(arguments, 0));
  return nullptr;
}

napi_value ContextOfGpu(Arguments& arguments) {
  napi_value result;
  napi_create_bigint_uint64(arguments.env(),
                            reinterpret_cast<uint64_t>(Device::OfThread().context()), &result);
  return result;
}

napi_value ThrowIfFailed(Arguments&) {
  Device::OfThread().ThrowIfFailed();
  return nullptr;
}

}  // namespace twotower::cuda
