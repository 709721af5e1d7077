#include "arguments.h"

#include <cmath>
#include <cstring>
#include <string>

namespace twotower {

Arguments::Arguments(napi_env env, napi_callback_info info, size_t count) : env_(env) {
  size_t given = sizeof(values_) / sizeof(values_[0]);
  if (napi_get_cb_info(env, info, &given, values_, nullptr, nullptr) != napi_ok || given != count) {
    throw TypeError("takes " + std::to_string(count) + " arguments, got " + std::to_string(given));
  }
}

bool TypedArrayValues(napi_env env, napi_value value, Values* values) {
  bool is_typed_array = false;
  napi_is_typedarray(env, value, &is_typed_array);
  if (!is_typed_array) return false;
  napi_typedarray_type type;
  napi_get_typedarray_info(env, value, &type, &values->length, &values->data, nullptr, nullptr);
  if (type == napi_float32_array) {
    values->type = Type::kFloat32;
  } else if (type == napi_int32_array) {
    values->type = Type::kInt32;
  } else if (type == napi_uint8_array) {
    values->type = Type::kBool;
  } else {
    return false;
  }
  return true;
}

Values Arguments::AnyValues(size_t index, const char* name) const {
  Values values;
  if (!DeviceValues(env_, values_[index], &values)) {
    throw TypeError(std::string(name) + " must be " + kDeviceArrays);
  }
  return values;
}

Values Arguments::HostValues(size_t index, const char* name) const {
  Values values;
  if (!TypedArrayValues(env_, values_[index], &values)) {
    throw TypeError(std::string(name) + " must be a Float32Array, Int32Array or Uint8Array");
  }
  return values;
}

namespace {

template <typename Element>
Span<Element> SpanOf(const Values& values, Type type, const char* name) {
  if (values.type != type) {
    throw TypeError(std::string(name) + " must be a " + NameOf(type) + ", not a " +
                    NameOf(values.type));
  }
  return {values.As<Element>(), values.length};
}

}  // namespace

Span<float> Arguments::Floats(size_t index, const char* name) const {
  return SpanOf<float>(AnyValues(index, name), Type::kFloat32, name);
}

Span<float> Arguments::Floats(size_t index, const char* name, size_t length) const {
  const Span<float> span = Floats(index, name);
  if (span.length != length) {
    throw RangeError(std::string(name) + " must have " + std::to_string(length) +
                     " elements, not " + std::to_string(span.length));
  }
  return span;
}

float* Arguments::FloatsOrNull(size_t index, const char* name, size_t length) const {
  napi_valuetype type;
  napi_typeof(env_, values_[index], &type);
  return type == napi_null ? nullptr : Floats(index, name, length).data;
}

Span<int32_t> Arguments::Int32s(size_t index, const char* name) const {
  return SpanOf<int32_t>(AnyValues(index, name), Type::kInt32, name);
}

Span<uint8_t> Arguments::Bools(size_t index, const char* name) const {
  return SpanOf<uint8_t>(AnyValues(index, name), Type::kBool, name);
}

double Arguments::Number(size_t index, const char* name) const {
  double value;
  if (napi_get_value_double(env_, values_[index], &value) != napi_ok) {
    throw TypeError(std::string(name) + " must be a number");
  }
  return value;
}

int64_t Arguments::Integer(size_t index, const char* name, int64_t low, int64_t high) const {
  const double value = Number(index, name);
  if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)) ||
      value != std::floor(value)) {
    throw RangeError(std::string(name) + " must be an integer from " + std::to_string(low) +
                     " to " + std::to_string(high) + ", not " + std::to_string(value));
  }
  return static_cast<int64_t>(value);
}

bool Arguments::Boolean(size_t index, const char* name) const {
  bool value;
  if (napi_get_value_bool(env_, values_[index], &value) != napi_ok) {
    throw TypeError(std::string(name) + " must be a boolean");
  }
  return value;
}

int Arguments::Choice(size_t index, const char* name,
                      std::initializer_list<const char*> choices) const {
  char text[32];
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, values_[index], text, sizeof(text), &length) != napi_ok) {
    throw TypeError(std::string(name) + " must be a string");
  }
  int position = 0;
  for (const char* choice : choices) {
    if (std::strcmp(choice, text) == 0) return position;
    position++;
  }
  throw RangeError(std::string(name) + " must not be '" + text + "'");
}

Integers Arguments::IntegerList(size_t index, const char* name) const {
  bool is_array = false;
  napi_is_array(env_, values_[index], &is_array);
  Integers list;
  if (!is_array) {
    Values values;
    if (!TypedArrayValues(env_, values_[index], &values) || values.type != Type::kInt32) {
      throw TypeError(std::string(name) + " must be an Int32Array or an array of integers");
    }
    const Span<int32_t> span{values.As<int32_t>(), values.length};
    if (span.length > 64) throw RangeError(std::string(name) + " is too long");
    list.assign(span.data, span.data + span.length);
    return list;
  }
  uint32_t length = 0;
  napi_get_array_length(env_, values_[index], &length);
  if (length > 64) throw RangeError(std::string(name) + " is too long");
  list.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    double value;
    if (napi_get_element(env_, values_[index], i, &element) != napi_ok ||
        napi_get_value_double(env_, element, &value) != napi_ok) {
      throw TypeError(std::string(name) + " must be an Int32Array or an array of integers");
    }
    if (!(std::fabs(value) < 2147483648.0) || value != std::floor(value)) {
      throw RangeError(std::string(name) + " must hold integers below 2^31");
    }
    list.push_back(static_cast<int64_t>(value));
  }
  return list;
}

Integers Arguments::Sizes(size_t index, const char* name, size_t count) const {
  Integers sizes = IntegerList(index, name);
  if (sizes.size() != count) {
    throw RangeError(std::string(name) + " must hold " + std::to_string(count) +
                     " integers, not " + std::to_string(sizes.size()));
  }
  for (int64_t size : sizes) {
    if (size < 0) throw RangeError(std::string(name) + " must hold no negative sizes");
  }
  return sizes;
}

Integers Arguments::Shape(size_t index, const char* name) const {
  Integers shape = IntegerList(index, name);
  if (shape.size() > kMaxRank) {
    throw RangeError(std::string(name) + " must have at most " + std::to_string(kMaxRank) +
                     " dimensions, not " + std::to_string(shape.size()));
  }
  for (int64_t size : shape) {
    if (size < 0) throw RangeError(std::string(name) + " must hold no negative sizes");
  }
  return shape;
}

napi_value Arguments::Boolean(bool value) const {
  napi_value result;
  napi_get_boolean(env_, value, &result);
  return result;
}

napi_value Arguments::Number(double value) const {
  napi_value result;
  napi_create_double(env_, value, &result);
  return result;
}

}  // namespace twotower
