// Reads and checks the arguments that JavaScript passes to the addon's functions.
//
// Every exported function is a Kernel. It takes its arguments from `Arguments` by position, with their names for error
// messages, and returns a JavaScript value or nullptr (undefined). An exception becomes a JavaScript error whose message
// begins with the function's name: TypeError and RangeError below become JavaScript's own, all others Error.

#ifndef TWOTOWER_NATIVE_ARGUMENTS_H_
#define TWOTOWER_NATIVE_ARGUMENTS_H_

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

namespace twotower {

struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct RangeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Sizes of dimensions, starts, permutations.
using Integers = std::vector<int64_t>;

enum class Type { kFloat32, kInt32, kBool };

// Elements of a typed array, in place.
template <typename Element>
struct Span {
  Element* data = nullptr;
  size_t length = 0;
};

// A typed array of any of the three types.
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

const char* NameOf(Type type);

class Arguments {
 public:
  // Throws TypeError unless `count` arguments were given.
  Arguments(napi_env env, napi_callback_info info, size_t count);

  Values AnyValues(size_t index, const char* name) const;
  Span<float> Floats(size_t index, const char* name) const;
  // Floats of a known number; RangeError otherwise.
  Span<float> Floats(size_t index, const char* name, size_t length) const;
  // The same, or nullptr where JavaScript gave null.
  float* FloatsOrNull(size_t index, const char* name, size_t length) const;
  Span<int32_t> Int32s(size_t index, const char* name) const;
  Span<uint8_t> Bools(size_t index, const char* name) const;

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
  napi_env env() const { return env_; }

  static constexpr size_t kMaxRank = 8;

 private:
  napi_env env_;
  napi_value values_[12];
};

using Kernel = napi_value (*)(Arguments&);

// Product of sizes that are not negative; more than any array's length where it overflows.
size_t ProductOf(const Integers& sizes);

// Throws RangeError unless `length` is the product of `sizes`.
void CheckLength(const char* name, size_t length, const Integers& sizes);

// Throws TypeError unless the types are equal.
void CheckSameType(const char* name, Type type, const char* other_name, Type other);

// Throws RangeError unless the lengths are equal.
void CheckSameLength(const char* name, size_t length, const char* other_name, size_t other);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_ARGUMENTS_H_
