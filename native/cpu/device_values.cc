// The CPU computes on typed arrays where they lie.

#include "../arguments.h"

namespace twotower {

bool DeviceValues(napi_env env, napi_value value, Values* values) {
  return TypedArrayValues(env, value, values);
}

const char* const kDeviceArrays = "a Float32Array, Int32Array or Uint8Array";

}  // namespace twotower
