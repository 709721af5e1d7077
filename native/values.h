// Arrays, their types and sizes, and the errors of the addon's functions.

#ifndef TWOTOWER_NATIVE_VALUES_H_
#define TWOTOWER_NATIVE_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace twotower {

struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct RangeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A device, or a library that it needs, is missing or has failed: no mistake of the program. JavaScript sees an Error whose code
// is DEVICE.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A device's memory is full. The code is DEVICE_MEMORY.
struct DeviceMemoryError : DeviceError {
  using DeviceError::DeviceError;
};

// Sizes of dimensions, starts, permutations.
using Integers = std::vector<int64_t>;

constexpr size_t kMaxRank = 8;

enum class Type { kFloat32, kInt32, kBool };

// Elements of an array, in place.
template <typename Element>
struct Span {
  Element* data = nullptr;
  size_t length = 0;
};

// An array of any of the three types.
struct Values {
  void* data = nullptr;
  size_t length = 0;
  Type type = Type::kFloat32;

  template <typename Element>
  Element* As() const {
    return static_cast<Element*>(data);
  }
  size_t ElementBytes() const { return type == Type::kBool ? 1 : 4; }
};

// The name of JavaScript's typed array.
const char* NameOf(Type type);

// Product of sizes that are not negative; more than any array's length if it overflows.
size_t ProductOf(const Integers& sizes);

// Throws RangeError unless `length` is the product of `sizes`.
void CheckLength(const char* name, size_t length, const Integers& sizes);

// Throws TypeError unless the types are equal.
void CheckSameType(const char* name, Type type, const char* other_name, Type other);

// Throws RangeError unless the lengths are equal.
void CheckSameLength(const char* name, size_t length, const char* other_name, size_t other);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_VALUES_H_
