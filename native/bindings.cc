#include "bindings.h"

#include <exception>
#include <new>
#include <string>

namespace twotower {
namespace {

// Called from JavaScript: runs the binding of the Export in `data` and turns its exceptions into JavaScript's.
napi_value Call(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const Export& called = *static_cast<const Export*>(data);
  const auto message = [&](const char* reason) { return std::string(called.name) + ": " + reason; };
  try {
    Arguments arguments(env, info, called.arguments);
    return called.binding(arguments);
  } catch (const TypeError& error) {
    napi_throw_type_error(env, nullptr, message(error.what()).c_str());
  } catch (const RangeError& error) {
    napi_throw_range_error(env, nullptr, message(error.what()).c_str());
  } catch (const DeviceMemoryError& error) {
    napi_throw_error(env, "DEVICE_MEMORY", message(error.what()).c_str());
  } catch (const DeviceError& error) {
    napi_throw_error(env, "DEVICE", message(error.what()).c_str());
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, nullptr, message("out of memory").c_str());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, message(error.what()).c_str());
  }
  return nullptr;
}

}  // namespace

void Define(napi_env env, napi_value exports, const Export* functions, size_t count) {
  for (const Export* one = functions; one < functions + count; one++) {
    const napi_property_descriptor property = {
        one->name,       nullptr, Call, nullptr, nullptr, nullptr, napi_enumerable,
        const_cast<Export*>(one)};
    napi_define_properties(env, exports, 1, &property);
  }
}

}  // namespace twotower
