#include "values.h"

#include <limits>
#include <string>

namespace twotower {
namespace {

std::string Quoted(const Integers& sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); i++) {
    text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  return text + "]";
}

}  // namespace

const char* NameOf(Type type) {
  switch (type) {
    case Type::kFloat32:
      return "Float32Array";
    case Type::kInt32:
      return "Int32Array";
    default:
      return "Uint8Array";
  }
}

size_t ProductOf(const Integers& sizes) {
  size_t product = 1;
  for (int64_t size : sizes) {
    if (size == 0) return 0;
    if (__builtin_mul_overflow(product, static_cast<size_t>(size), &product)) {
      product = std::numeric_limits<size_t>::max() / 4;
    }
  }
  return product;
}

void CheckLength(const char* name, size_t length, const Integers& sizes) {
  if (length != ProductOf(sizes)) {
    throw RangeError(std::string(name) + " has " + std::to_string(length) +
                     " elements, which is not the shape " + Quoted(sizes));
  }
}

void CheckSameType(const char* name, Type type, const char* other_name, Type other) {
  if (type != other) {
    throw TypeError(std::string(name) + " is a " + NameOf(type) + ", " + other_name + " a " +
                    NameOf(other));
  }
}

void CheckSameLength(const char* name, size_t length, const char* other_name, size_t other) {
  if (length != other) {
    throw RangeError(std::string(name) + " has " + std::to_string(length) + " elements, " +
                     other_name + " " + std::to_string(other));
  }
}

}  // namespace twotower
