// The native backend's addon for NVIDIA's GPUs: the kernels, and what only this device has. Each thread that opens a GPU has a
// stream and memory of its own there (device.h).
//
// An array of this device is any JavaScript object that `describeArray` has tied to a part of a piece of memory.

#include <memory>
#include <string>
#include <vector>

#include "../bindings.h"
#include "../kernels.h"
#include "copies.h"
#include "device.h"
#include "images.h"
#include "jpegs.h"
#include "libraries.h"
#include "nccl.h"

namespace twotower {
namespace cuda {
namespace {

constexpr int64_t kMostOrdinal = 1023;

// Marks the objects that describeArray has tied to device memory.
constexpr napi_type_tag kArrayTag = {0x7477'6f74'6f77'6572, 0x6375'6461'6172'7279};

// A piece of a device's memory. What this thread has allocated is freed with its JavaScript object at the latest.
struct Memory {
  Address address;
  size_t bytes;
  bool is_own;
};

std::string StringFrom(napi_env env, napi_value value, const char* name) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    throw TypeError(std::string(name) + " must be a string");
  }
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

napi_value StringOf(napi_env env, const std::string& text) {
  napi_value result;
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}

napi_value NumberOf(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value ListOf(napi_env env, const std::vector<napi_value>& values) {
  napi_value list;
  napi_create_array_with_length(env, values.size(), &list);
  for (size_t i = 0; i < values.size(); i++) {
    napi_set_element(env, list, static_cast<uint32_t>(i), values[i]);
  }
  return list;
}

struct Property {
  const char* name;
  napi_value value;
};

napi_value ObjectOf(napi_env env, std::initializer_list<Property> properties) {
  napi_value object;
  napi_create_object(env, &object);
  for (const Property& one : properties) napi_set_named_property(env, object, one.name, one.value);
  return object;
}

// CUDA writes its versions as 1000 · major + 10 · minor.
std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// What this addon has given to JavaScript.
template <typename Given>
Given& External(const Arguments& arguments, size_t index, const char* demand) {
  napi_valuetype type;
  napi_typeof(arguments.env(), arguments[index], &type);
  if (type != napi_external) throw TypeError(demand);
  void* given = nullptr;
  napi_get_value_external(arguments.env(), arguments[index], &given);
  return *static_cast<Given*>(given);
}

Memory& MemoryFrom(const Arguments& arguments, size_t index) {
  return External<Memory>(arguments, index, "memory must be what allocateMemory gave");
}

void FreeMemory(Memory& memory) {
  Device* device = Device::IfOpen();
  if (!memory.is_own || memory.address == 0 || device == nullptr) return;
  const Address address = memory.address;
  memory.address = 0;
  device->Free(address);
}

napi_value LookForLibraries(Arguments& arguments) {
  const napi_env env = arguments.env();
  uint32_t count = 0;
  if (napi_get_array_length(env, arguments[0], &count) != napi_ok) {
    throw TypeError("folders must be an array of strings");
  }
  std::vector<std::string> folders;
  for (uint32_t i = 0; i < count; i++) {
    napi_value folder;
    napi_get_element(env, arguments[0], i, &folder);
    folders.push_back(StringFrom(env, folder, "folders"));
  }
  LookIn(std::move(folders));
  return nullptr;
}

std::string UuidText(int device) {
  Uuid uuid;
  CheckDriver(TheDriver().deviceGetUuid(&uuid, device), "cuDeviceGetUuid");
  std::string text = "GPU-";
  for (int i = 0; i < 16; i++) {
    constexpr char kDigits[] = "0123456789abcdef";
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[uuid.bytes[i] >> 4];
    text += kDigits[uuid.bytes[i] & 15];
  }
  return text;
}

napi_value Gpus(Arguments& arguments) {
  const napi_env env = arguments.env();
  const Driver& driver = TheDriver();
  int count = 0;
  const int status = driver.deviceGetCount(&count);
  if (status != kNoDevice && status != kNotInitialized) CheckDriver(status, "cuDeviceGetCount");
  std::vector<napi_value> gpus;
  for (int ordinal = 0; ordinal < count; ordinal++) {
    int device = 0;
    int major = 0;
    int minor = 0;
    size_t bytes = 0;
    char name[256];
    CheckDriver(driver.deviceGet(&device, ordinal), "cuDeviceGet");
    CheckDriver(driver.deviceGetName(name, sizeof(name), device), "cuDeviceGetName");
    CheckDriver(driver.deviceTotalMem(&bytes, device), "cuDeviceTotalMem");
    CheckDriver(driver.deviceGetAttribute(&major, kCapabilityMajor, device), "cuDeviceGetAttribute");
    CheckDriver(driver.deviceGetAttribute(&minor, kCapabilityMinor, device), "cuDeviceGetAttribute");
    gpus.push_back(ObjectOf(
        env, {{"ordinal", NumberOf(env, ordinal)},
              {"name", StringOf(env, name)},
              {"uuid", StringOf(env, UuidText(device))},
              {"bytes", NumberOf(env, static_cast<double>(bytes))},
              {"capability", StringOf(env, std::to_string(major) + "." + std::to_string(minor))}}));
  }
  return ListOf(env, gpus);
}

napi_value Libraries(Arguments& arguments) {
  const napi_env env = arguments.env();
  const std::vector<std::string> files = Files();
  int version = 0;
  CheckDriver(TheDriver().driverGetVersion(&version), "cuDriverGetVersion");
  int major = 0;
  int minor = 0;
  CheckNvrtc(TheNvrtc().version(&major, &minor), "nvrtcVersion");
  return ObjectOf(env, {{"cuda", StringOf(env, VersionText(version))},
                        {"nvrtc", StringOf(env, VersionText(1000 * major + 10 * minor))},
                        {"driverFile", StringOf(env, files[0])},
                        {"nvrtcFile", StringOf(env, files[1])},
                        {"cublasLtFile", StringOf(env, files[2])},
                        {"cudnnFile", StringOf(env, files[3])}});
}

napi_value NvJpegFound(Arguments& arguments) {
  const napi_env env = arguments.env();
  const NvJpegLibrary found = FindNvJpeg();
  const std::string version = std::to_string(found.major) + "." + std::to_string(found.minor);
  return ObjectOf(env, {{"version", StringOf(env, version)}, {"file", StringOf(env, found.file)}});
}

void CloseAtEnd(void*) { Device::Close(); }

Device& OpenDevice(const Arguments& arguments, double share, Device::Use use) {
  const auto ordinal = static_cast<int>(arguments.Integer(0, "ordinal", 0, kMostOrdinal));
  const std::string source = StringFrom(arguments.env(), arguments[1], "source");
  Device& device = Device::Open(ordinal, source, share, use);
  napi_remove_env_cleanup_hook(arguments.env(), CloseAtEnd, nullptr);
  napi_add_env_cleanup_hook(arguments.env(), CloseAtEnd, nullptr);
  return device;
}

napi_value OpenGpu(Arguments& arguments) {
  const double share = arguments.Number(2, "share");
  if (!(share > 0 && share <= 1)) throw RangeError("share must be above 0 and at most 1");
  OpenDevice(arguments, share, Device::Use::kComputing);
  return nullptr;
}

napi_value OpenJpegs(Arguments& arguments) {
  OpenDevice(arguments, 1, Device::Use::kDecoding).jpegs();
  return nullptr;
}

napi_value WhenFull(Arguments& arguments) {
  const napi_env env = arguments.env();
  napi_valuetype type;
  napi_typeof(env, arguments[0], &type);
  if (type != napi_function) throw TypeError("makeRoom must be a function");
  napi_ref reference;
  napi_create_reference(env, arguments[0], 1, &reference);
  Device::OfThread().WhenFull([env, reference] {
    napi_value function;
    napi_value none;
    napi_get_reference_value(env, reference, &function);
    napi_get_undefined(env, &none);
    if (napi_call_function(env, none, function, 0, nullptr, nullptr) == napi_ok) return;
    napi_value thrown;
    napi_get_and_clear_last_exception(env, &thrown);
    throw DeviceError("room for more could not be made in the GPU's memory");
  });
  return nullptr;
}

napi_value HeldBytes(Arguments& arguments) {
  return arguments.Number(static_cast<double>(Device::OfThread().held()));
}

napi_value MemoryNow(Arguments& arguments) {
  const napi_env env = arguments.env();
  const Device::Memory memory = Device::OfThread().MemoryNow();
  const auto bytes = [env](size_t count) { return NumberOf(env, static_cast<double>(count)); };
  return ObjectOf(env, {{"held", bytes(memory.held)},
                        {"limit", bytes(memory.limit)},
                        {"free", bytes(memory.free)},
                        {"total", bytes(memory.total)}});
}

napi_value Synchronize(Arguments&) {
  Device::OfThread().Synchronize();
  return nullptr;
}

constexpr int64_t kMostBytes = int64_t{1} << 50;

napi_value ExternalOf(napi_env env, std::unique_ptr<Memory> memory) {
  const auto finalize = [](napi_env, void* data, void*) {
    const std::unique_ptr<Memory> last(static_cast<Memory*>(data));
    try {
      FreeMemory(*last);
    } catch (const std::exception&) {
      // The device has failed, which the next call reports.
    }
  };
  napi_value result;
  napi_create_external(env, memory.release(), finalize, nullptr, &result);
  return result;
}

napi_value AllocateMemory(Arguments& arguments) {
  const auto bytes = static_cast<size_t>(arguments.Integer(0, "bytes", 1, kMostBytes));
  const Address address = Device::OfThread().Allocate(bytes);
  return ExternalOf(arguments.env(), std::make_unique<Memory>(Memory{address, bytes, true}));
}

napi_value FreeMemoryNow(Arguments& arguments) {
  FreeMemory(MemoryFrom(arguments, 0));
  return nullptr;
}

napi_value DescribeArray(Arguments& arguments) {
  const Memory& memory = MemoryFrom(arguments, 1);
  const auto type = static_cast<Type>(arguments.Choice(2, "type", {"float32", "int32", "bool"}));
  const auto most = static_cast<int64_t>(memory.bytes);
  const int64_t start = arguments.Integer(3, "start", 0, most);
  Values values{nullptr, static_cast<size_t>(arguments.Integer(4, "length", 0, most)), type};
  if (start % static_cast<int64_t>(values.ElementBytes()) != 0 ||
      values.length * values.ElementBytes() > memory.bytes - static_cast<size_t>(start)) {
    throw RangeError("the array does not lie inside the memory");
  }
  values.data = reinterpret_cast<void*>(memory.address + static_cast<Address>(start));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Values*>(data); };
  const napi_env env = arguments.env();
  auto* kept = new Values(values);
  if (napi_type_tag_object(env, arguments[0], &kArrayTag) != napi_ok ||
      napi_wrap(env, arguments[0], kept, finalize, nullptr, nullptr) != napi_ok) {
    delete kept;
    throw TypeError("array must be an object that describes no memory yet");
  }
  return nullptr;
}

void CheckCopy(const Values& from, const Values& to) {
  CheckSameType("from", from.type, "to", to.type);
  CheckSameLength("from", from.length, "to", to.length);
}

napi_value ReadArray(Arguments& arguments) {
  const Values from = arguments.AnyValues(0, "from");
  const Values to = arguments.HostValues(1, "to");
  CheckCopy(from, to);
  Device::OfThread().Read(to.data, from.data, from.length * from.ElementBytes());
  return nullptr;
}

napi_value WriteArray(Arguments& arguments) {
  const Values from = arguments.HostValues(0, "from");
  const Values to = arguments.AnyValues(1, "to");
  CheckCopy(from, to);
  Device::OfThread().Write(to.data, from.data, from.length * from.ElementBytes());
  return nullptr;
}

// Addresses and events cross threads as BigInts.
uint64_t BigIntFrom(const Arguments& arguments, size_t index, const char* name) {
  uint64_t value = 0;
  bool is_lossless = false;
  if (napi_get_value_bigint_uint64(arguments.env(), arguments[index], &value, &is_lossless) !=
      napi_ok) {
    throw TypeError(std::string(name) + " must be a BigInt");
  }
  return value;
}

napi_value BigIntOf(napi_env env, uint64_t value) {
  napi_value result;
  napi_create_bigint_uint64(env, value, &result);
  return result;
}

// A graph that is freed with its JavaScript object at the latest.
napi_value EndGraph(Arguments& arguments) {
  auto graph = Device::OfThread().EndGraph();
  const auto finalize = [](napi_env, void* data, void*) {
    const std::unique_ptr<Device::Graph> last(static_cast<Device::Graph*>(data));
    Device* device = Device::IfOpen();
    if (device == nullptr) return;
    try {
      device->FreeGraph(*last);
    } catch (const std::exception&) {
      // The device has failed, which the next call reports.
    }
  };
  napi_value result;
  napi_create_external(arguments.env(), graph.release(), finalize, nullptr, &result);
  return result;
}

Device::Graph& GraphFrom(const Arguments& arguments) {
  return External<Device::Graph>(arguments, 0, "graph must be what endGraph gave");
}

napi_value BeginGraph(Arguments&) {
  Device::OfThread().BeginGraph();
  return nullptr;
}

napi_value AbandonGraph(Arguments&) {
  Device::OfThread().AbandonGraph();
  return nullptr;
}

napi_value KeyWordsOf(Arguments& arguments) {
  return arguments.Number(static_cast<double>(2 * GraphFrom(arguments).key_count));
}

napi_value RepeatGraph(Arguments& arguments) {
  Device::Graph& graph = GraphFrom(arguments);
  const Values keys = arguments.HostValues(1, "keys");
  CheckSameType("keys", keys.type, "int32", Type::kInt32);
  const bool is_done =
      Device::OfThread().Repeat(graph, static_cast<const int32_t*>(keys.data), keys.length);
  return arguments.Boolean(is_done);
}

napi_value FreeGraphNow(Arguments& arguments) {
  Device::OfThread().FreeGraph(GraphFrom(arguments));
  return nullptr;
}

void* EventFrom(const Arguments& arguments, size_t index = 0) {
  return reinterpret_cast<void*>(BigIntFrom(arguments, index, "event"));
}

int OrdinalFrom(const Arguments& arguments, size_t index) {
  return static_cast<int>(arguments.Integer(index, "ordinal", 0, kMostOrdinal));
}

napi_value CreateEvent(Arguments& arguments) {
  void* event = Device::OfThread().CreateEvent(arguments.Boolean(0, "isTimed"));
  return BigIntOf(arguments.env(), reinterpret_cast<uint64_t>(event));
}

napi_value RecordEvent(Arguments& arguments) {
  Device::OfThread().RecordEvent(EventFrom(arguments));
  return nullptr;
}

napi_value WaitForEvent(Arguments& arguments) {
  Device::OfThread().WaitForEvent(EventFrom(arguments));
  return nullptr;
}

napi_value ElapsedMs(Arguments& arguments) {
  void* const start = EventFrom(arguments);
  const float milliseconds = Device::OfThread().ElapsedMs(start, EventFrom(arguments, 1));
  return arguments.Number(static_cast<double>(milliseconds));
}

napi_value AddressOf(Arguments& arguments) {
  const Values array = arguments.AnyValues(0, "array");
  return BigIntOf(arguments.env(), reinterpret_cast<uint64_t>(array.data));
}

napi_value ForeignMemory(Arguments& arguments) {
  const Address address = BigIntFrom(arguments, 0, "address");
  const auto bytes = static_cast<size_t>(arguments.Integer(1, "bytes", 0, kMostBytes));
  return ExternalOf(arguments.env(), std::make_unique<Memory>(Memory{address, bytes, false}));
}

napi_value ReadsInPlace(Arguments& arguments) {
  return arguments.Boolean(Device::OfThread().ReadsInPlace(OrdinalFrom(arguments, 0)));
}

napi_value CopyFromGpu(Arguments& arguments) {
  const int ordinal = OrdinalFrom(arguments, 0);
  const Address from = BigIntFrom(arguments, 1, "from");
  const Values to = arguments.AnyValues(2, "to");
  Device::OfThread().CopyFromPeer(ordinal, to.data, from, to.length * to.ElementBytes());
  return nullptr;
}

const Export kExports[] = {
    {"lookForLibraries", LookForLibraries, 1}, {"gpus", Gpus, 0},
    {"libraries", Libraries, 0},               {"openGpu", OpenGpu, 3},
    {"whenFull", WhenFull, 1},                 {"memory", MemoryNow, 0},
    {"heldBytes", HeldBytes, 0},               {"elapsedMs", ElapsedMs, 2},
    {"synchronize", Synchronize, 0},
    {"allocateMemory", AllocateMemory, 1},     {"freeMemory", FreeMemoryNow, 1},
    {"describeArray", DescribeArray, 5},       {"readArray", ReadArray, 2},
    {"writeArray", WriteArray, 2},             {"createEvent", CreateEvent, 1},
    {"recordEvent", RecordEvent, 1},           {"waitForEvent", WaitForEvent, 1},
    {"addressOf", AddressOf, 1},               {"foreignMemory", ForeignMemory, 2},
    {"beginGraph", BeginGraph, 0},             {"endGraph", EndGraph, 0},
    {"abandonGraph", AbandonGraph, 0},         {"repeatGraph", RepeatGraph, 2},
    {"freeGraph", FreeGraphNow, 1},            {"keyWordsOf", KeyWordsOf, 1},
    {"readsInPlace", ReadsInPlace, 1},         {"copyFromGpu", CopyFromGpu, 3},
    {"imagesFromViews", ImagesFromViews, 10},  {"lockMemory", LockMemory, 1},
    {"beginUpload", BeginUpload, 2},           {"finishUploads", FinishUploads, 0},
    {"nvjpeg", NvJpegFound, 0},                {"openJpegs", OpenJpegs, 2},
    {"decodeJpeg", DecodeJpeg, 3},             {"viewJpeg", ViewJpeg, 6},
    {"finishUploadsFirst", FinishUploadsFirst, 0},
    {"beginDownload", BeginDownload, 3},       {"announceValues", AnnounceValues, 1},
    {"context", ContextOfGpu, 0},              {"throwIfFailed", ThrowIfFailed, 0},
    {"ncclLibrary", NcclLibrary, 0},           {"newNcclId", NewNcclId, 1},
    {"joinNccl", JoinNccl, 3},                 {"beginNcclSum", BeginNcclSum, 1},
    {"finishNcclSumFirst", FinishNcclSumFirst, 1},
    {"areNcclSumsDone", AreNcclSumsDone, 1},   {"takeNcclMs", TakeNcclMs, 0},
};

}  // namespace
}  // namespace cuda

bool DeviceValues(napi_env env, napi_value value, Values* values) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  bool is_array = false;
  if (type != napi_object ||
      napi_check_object_type_tag(env, value, &cuda::kArrayTag, &is_array) != napi_ok || !is_array) {
    return false;
  }
  void* kept = nullptr;
  napi_unwrap(env, value, &kept);
  *values = *static_cast<Values*>(kept);
  return true;
}

const char* const kDeviceArrays = "an array in the GPU's memory";

}  // namespace twotower

NAPI_MODULE_INIT() {
  using namespace twotower;
  DefineKernels(env, exports);
  Define(env, exports, cuda::kExports, sizeof(cuda::kExports) / sizeof(cuda::kExports[0]));
  return exports;
}
