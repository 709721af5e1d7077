// device_pin: lets each worker thread of one process compute on its own TensorFlow device.
//
// tfjs-node-gpu's addon never says on which device an operation should run, and gives its context
// no options. This addon is loaded before it with RTLD_GLOBAL, so that the dynamic linker binds
// the addon's calls of TFE_NewContext and TFE_NewOp to the two functions below. Both read what the
// calling thread chose with `pin`, then call TensorFlow's own function of the same name:
//   - TFE_NewContext first puts the thread's serialized ConfigProto into the context's options;
//   - TFE_NewOp afterwards places the operation on the thread's device.
// A thread that never called `pin` gets TensorFlow's defaults.
//
// JavaScript side: src/backend/device_pin.ts.

#include <dlfcn.h>
#include <malloc.h>
#include <node_api.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tensorflow/c/eager/c_api.h"

namespace {

thread_local std::string pinned_device;
thread_local std::vector<unsigned char> context_config;

// TensorFlow's own definition. This library's definitions come first in the global scope, and
// RTLD_NEXT does not cross the scopes of two dlopen calls, so ask the loaded library itself.
template <typename Function>
Function TensorFlowOwn(const char* name) {
  static void* library = dlopen("libtensorflow_cc.so.2", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) library = dlopen("libtensorflow.so.2", RTLD_LAZY | RTLD_NOLOAD);
  void* symbol = library == nullptr ? nullptr : dlsym(library, name);
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

// pin(device: string, config: Uint8Array): for the calling thread, from its next context and
// operation on.
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

// keepFreedMemory(): for the whole process. Buffers of a training step are tens of megabytes; by
// default glibc maps each one afresh and the kernel zeroes it page by page, every step.
napi_value KeepFreedMemory(napi_env, napi_callback_info) {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
  return nullptr;
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

}  // extern "C"

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"pin", nullptr, Pin, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"keepFreedMemory", nullptr, KeepFreedMemory, nullptr, nullptr, nullptr, napi_enumerable,
       nullptr},
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
  return exports;
}
