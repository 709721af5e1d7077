// Reads and checks the arguments that JavaScript passes to the addon's functions.
//
// Every exported function is a Binding. It takes its arguments from `Arguments` by position, with their names for error
// messages, and returns a JavaScript value or nullptr (undefined). An exception becomes a JavaScript error whose message
// begins with the function's name: TypeError and RangeError become JavaScript's own, all others Error.

#ifndef TWOTOWER_NATIVE_ARGUMENTS_H_
#define TWOTOWER_NATIVE_ARGUMENTS_H_

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "values.h"

namespace twotower {

// The values of a Float32Array, Int32Array or Uint8Array; false for anything else.
bool TypedArrayValues(napi_env env, napi_value value, Values* values);

// Each addon defines these two: the arrays that its device computes on, and what an error message calls one of them.
bool DeviceValues(napi_env env, napi_value value, Values* values);
extern const char* const kDeviceArrays;

class Arguments {
 public:
  // Throws TypeError unless `count` arguments were given.
  Arguments(napi_env env, napi_callback_info info, size_t count);

  // An array of the device of any type. Those below are of the device too.
  Values AnyValues(size_t index, const char* name) const;
  Span<float> Floats(size_t index, const char* name) const;
  // Floats of a known number; RangeError otherwise.
  Span<float> Floats(size_t index, const char* name, size_t length) const;
  // The same, or nullptr where JavaScript gave null.
  float* FloatsOrNull(size_t index, const char* name, size_t length) const;
  Span<int32_t> Int32s(size_t index, const char* name) const;
  Span<uint8_t> Bools(size_t index, const char* name) const;

  // A typed array, whatever the device.
  Values HostValues(size_t index, const char* name) const;

  double Number(size_t index, const char* name) const;
  // An integer in [low, high].
  int64_t Integer(size_t index, const char* name, int64_t low, int64_t high) const;
  bool Boolean(size_t index, const char* name) const;
  // The position of a string among `choices`.
  int Choice(size_t index, const char* name, std::initializer_list<const char*> choices) const;
  // An Int32Array or an array of integers, each in [−2³¹, 2³¹).
  Integers IntegerList(size_t index, const char* name) const;
  // The same, of `count` integers that are not negative.
  Integers Sizes(size_t index, const char* name, size_t count) const;
  // The same, of up to kMaxRank.
  Integers Shape(size_t index, const char* name) const;

  napi_value Boolean(bool value) const;
  napi_value Number(double value) const;
  napi_value operator[](size_t index) const { return values_[index]; }
  napi_env env() const { return env_; }

 private:
  napi_env env_;
  napi_value values_[12];
};

// A function that JavaScript calls.
using Binding = napi_value (*)(Arguments&);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_ARGUMENTS_H_
