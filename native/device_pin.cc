// device_pin: lets each worker thread of one process compute on its own TensorFlow device.
//
// tfjs-node-gpu's addon never says on which device an operation should run, and gives its context no options. This addon
// is loaded before it with RTLD_GLOBAL, so that the dynamic linker binds the other's calls to the functions below. They
// read what the calling thread chose with `pin`, then call TensorFlow's own function of the same name:
//   - TFE_NewContext first puts the thread's serialized ConfigProto into the context's options;
//   - TFE_NewOp afterwards places the operation on the thread's device;
//   - TFE_TensorHandleCopyToDevice, by which tfjs-node-gpu uploads values, copies to the thread's device. The addon asks
//     for the last GPU of the process, whatever the thread.
// TFE_Execute is passed through as well, to note where the operation ran and to let threads take turns.
// A thread that never called `pin` gets TensorFlow's defaults.
//
// JavaScript side: src/backend/device_pin.ts.

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <node_api.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "tensorflow/c/eager/c_api.h"

namespace {

thread_local std::string pinned_device;
thread_local std::vector<unsigned char> context_config;
thread_local std::string device_of_last_operation;
thread_local std::string device_of_last_upload;

// Held around each operation of the threads that called takeTurns(true).
std::mutex turn;
thread_local bool takes_turns = false;

// TensorFlow writes a banner while it loads, before anything can set its log level. So stderr is discarded during the
// load if TF_CPP_MIN_LOG_LEVEL asks for less than everything; dlerror still reports the loader's errors.
void* LoadTensorFlow() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  const bool quiet = level != nullptr && std::atoi(level) > 0;
  const int kept = quiet ? dup(STDERR_FILENO) : -1;
  const int nowhere = quiet ? open("/dev/null", O_WRONLY) : -1;
  const bool redirected = kept >= 0 && nowhere >= 0 && dup2(nowhere, STDERR_FILENO) >= 0;
  void* library = dlopen("libtensorflow.so", RTLD_LAZY | RTLD_GLOBAL);
  if (redirected) dup2(kept, STDERR_FILENO);
  if (kept >= 0) close(kept);
  if (nowhere >= 0) close(nowhere);
  return library;
}

void* TensorFlow() {
  static void* library = LoadTensorFlow();
  return library;
}

// TensorFlow's own definition of a function that is interposed here.
template <typename Function>
Function TensorFlowOwn(const char* name) {
  void* symbol = dlsym(TensorFlow(), name);
  if (symbol == nullptr) {
    std::fprintf(stderr, "twotower: libtensorflow does not define %s\n", name);
    std::abort();
  }
  return reinterpret_cast<Function>(symbol);
}

bool ReadArguments(napi_env env, napi_callback_info info, size_t wanted, napi_value* arguments) {
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) == napi_ok &&
      count == wanted) {
    return true;
  }
  napi_throw_type_error(env, nullptr, "device_pin: wrong number of arguments");
  return false;
}

// pin(device: string, config: Uint8Array): pins the calling thread, from its next context and operation on.
napi_value Pin(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  if (!ReadArguments(env, info, 2, arguments)) return nullptr;

  char device[128];
  size_t device_length = 0;
  if (napi_get_value_string_utf8(env, arguments[0], device, sizeof(device), &device_length) !=
      napi_ok) {
    napi_throw_type_error(env, nullptr, "device_pin.pin: device must be a string");
    return nullptr;
  }

  napi_typedarray_type type;
  size_t config_length = 0;
  void* config = nullptr;
  if (napi_get_typedarray_info(env, arguments[1], &type, &config_length, &config, nullptr,
                               nullptr) != napi_ok ||
      type != napi_uint8_array) {
    napi_throw_type_error(env, nullptr, "device_pin.pin: config must be a Uint8Array");
    return nullptr;
  }

  pinned_device.assign(device, device_length);
  const auto* bytes = static_cast<const unsigned char*>(config);
  context_config.assign(bytes, bytes + config_length);
  return nullptr;
}

// keepFreedMemory(): makes malloc keep freed memory, for the whole process; call it before worker threads start. By
// default glibc maps each large buffer afresh, and the kernel zeroes it page by page in every step. A worker's own arena
// does so too, because its heaps end at 64 MiB whatever the other two settings. With one arena, page faults fell from
// 10,400 to 1,500 per step and system time from 86 to 14 ms (conv1 and conv2 with LRN and pools, batch 32, one worker);
// with two workers page faults fell from 23,000 to 7,000 per step.
napi_value KeepFreedMemory(napi_env, napi_callback_info) {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
  return nullptr;
}

// takeTurns(on: boolean): while it is on, the calling thread's operations never run at the same time as those of another
// such thread. The first execution of an operation at a shape builds a oneDNN primitive. If two threads build at the same
// time, a convolution's gradient by its input is sometimes wrong from then on (in 4 of 45 processes on two busy cores,
// TensorFlow 2.21).
napi_value TakeTurns(napi_env env, napi_callback_info info) {
  napi_value argument;
  if (!ReadArguments(env, info, 1, &argument)) return nullptr;
  if (napi_get_value_bool(env, argument, &takes_turns) != napi_ok) {
    napi_throw_type_error(env, nullptr, "device_pin.takeTurns: on must be a boolean");
  }
  return nullptr;
}

// endProcess(code): Node's own exit would wait for other threads.
napi_value EndProcess(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t code = 0;
  if (!ReadArguments(env, info, 1, &argument)) return nullptr;
  if (napi_get_value_int32(env, argument, &code) == napi_ok) _exit(code);
  napi_throw_type_error(env, nullptr, "device_pin.endProcess: code must be a number");
  return nullptr;
}

struct Closing {
  TF_Status* status = TF_NewStatus();
  TFE_ContextOptions* options = TFE_NewContextOptions();
  TFE_Context* context = nullptr;
  TF_DeviceList* devices = nullptr;
  ~Closing() {
    if (devices != nullptr) TF_DeleteDeviceList(devices);
    if (context != nullptr) TFE_DeleteContext(context);
    TFE_DeleteContextOptions(options);
    TF_DeleteStatus(status);
  }
};

void SetString(napi_env env, napi_value object, const char* key, const char* text) {
  napi_value value;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, key, value);
}

// listDevices(): [{name, type}] of the devices that a context of the calling thread has.
napi_value ListDevices(napi_env env, napi_callback_info) {
  Closing held;
  held.context = TFE_NewContext(held.options, held.status);
  if (TF_GetCode(held.status) == TF_OK) {
    held.devices = TFE_ContextListDevices(held.context, held.status);
  }
  napi_value list;
  napi_create_array(env, &list);
  const int count =
      TF_GetCode(held.status) == TF_OK ? TF_DeviceListCount(held.devices) : 0;
  for (int index = 0; index < count && TF_GetCode(held.status) == TF_OK; index++) {
    napi_value device;
    napi_create_object(env, &device);
    SetString(env, device, "name", TF_DeviceListName(held.devices, index, held.status));
    SetString(env, device, "type", TF_DeviceListType(held.devices, index, held.status));
    napi_set_element(env, list, index, device);
  }
  if (TF_GetCode(held.status) != TF_OK) {
    napi_throw_error(env, nullptr, TF_Message(held.status));
    return nullptr;
  }
  return list;
}

napi_value StringOf(napi_env env, const std::string& text) {
  napi_value value;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

// lastDevice(): where the calling thread's last operation ran, or '' before the first.
napi_value LastDevice(napi_env env, napi_callback_info) {
  return StringOf(env, device_of_last_operation);
}

// lastUpload(): where the values are that the calling thread uploaded last, or '' before the first.
napi_value LastUpload(napi_env env, napi_callback_info) {
  return StringOf(env, device_of_last_upload);
}

// Notes the device of a tensor in `device`.
void Note(TFE_TensorHandle* tensor, std::string& device, TF_Status* status) {
  const char* name = TFE_TensorHandleDeviceName(tensor, status);
  if (TF_GetCode(status) == TF_OK) device = name;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) TFE_Context* TFE_NewContext(
    const TFE_ContextOptions* options, TF_Status* status) {
  static const auto own = TensorFlowOwn<decltype(&TFE_NewContext)>("TFE_NewContext");
  if (!context_config.empty()) {
    // The caller made the options for this one call; they are const only in this signature.
    TFE_ContextOptionsSetConfig(const_cast<TFE_ContextOptions*>(options), context_config.data(),
                                context_config.size(), status);
    if (TF_GetCode(status) != TF_OK) return nullptr;
  }
  return own(options, status);
}

__attribute__((visibility("default"))) TFE_Op* TFE_NewOp(TFE_Context* context,
                                                         const char* operation,
                                                         TF_Status* status) {
  static const auto own = TensorFlowOwn<decltype(&TFE_NewOp)>("TFE_NewOp");
  TFE_Op* op = own(context, operation, status);
  if (op == nullptr || pinned_device.empty()) return op;
  TFE_OpSetDevice(op, pinned_device.c_str(), status);
  if (TF_GetCode(status) == TF_OK) return op;
  TFE_DeleteOp(op);
  return nullptr;
}

__attribute__((visibility("default"))) TFE_TensorHandle* TFE_TensorHandleCopyToDevice(
    TFE_TensorHandle* tensor, TFE_Context* context, const char* device, TF_Status* status) {
  static const auto own =
      TensorFlowOwn<decltype(&TFE_TensorHandleCopyToDevice)>("TFE_TensorHandleCopyToDevice");
  TFE_TensorHandle* copy =
      own(tensor, context, pinned_device.empty() ? device : pinned_device.c_str(), status);
  if (TF_GetCode(status) == TF_OK) Note(copy, device_of_last_upload, status);
  return copy;
}

__attribute__((visibility("default"))) void TFE_Execute(TFE_Op* op, TFE_TensorHandle** results,
                                                        int* count, TF_Status* status) {
  static const auto own = TensorFlowOwn<decltype(&TFE_Execute)>("TFE_Execute");
  {
    std::unique_lock<std::mutex> held(turn, std::defer_lock);
    if (takes_turns) held.lock();
    own(op, results, count, status);
  }
  if (TF_GetCode(status) == TF_OK && *count > 0) Note(results[0], device_of_last_operation, status);
}

}  // extern "C"

NAPI_MODULE_INIT() {
  if (TensorFlow() == nullptr) {
    napi_throw_error(env, nullptr, dlerror());
    return nullptr;
  }
  const napi_property_descriptor functions[] = {
      {"pin", nullptr, Pin, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"takeTurns", nullptr, TakeTurns, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"endProcess", nullptr, EndProcess, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"listDevices", nullptr, ListDevices, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"lastDevice", nullptr, LastDevice, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"lastUpload", nullptr, LastUpload, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"keepFreedMemory", nullptr, KeepFreedMemory, nullptr, nullptr, nullptr, napi_enumerable,
       nullptr},
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
  return exports;
}
