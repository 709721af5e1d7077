// What a thread computes on: a oneDNN engine and stream, the size of the thread's OpenMP team and a cache of primitives. Each
// thread that loads the addon has a device of its own; kernels ask for it with `Device::OfThread()`.

#ifndef TWOTOWER_NATIVE_ENGINE_H_
#define TWOTOWER_NATIVE_ENGINE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "parallel.h"
#include "scratch.h"

namespace twotower {

// Bytes; also what vector and matrix instructions want their operands aligned to.
constexpr size_t kCacheLine = 64;

// One array of a call: where it lies, how it is laid out there, and how the primitive wants it.
struct Operand {
  int argument;  // DNNL_ARG_…
  dnnl::memory::desc given;
  dnnl::memory::desc wanted;
  bool is_output;
};

// A primitive, with the reorders that bring its operands into the layout and type it wants.
class PreparedPrimitive {
 public:
  PreparedPrimitive(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
                    std::vector<Operand> operands);

  // `arrays` in the order of the operands.
  void Execute(std::initializer_list<const void*> arrays);

  // Of the gradient by a convolution's input: the filter is to be given turned half-way round.
  bool takes_turned_filter = false;

 private:
  dnnl::primitive primitive_;
  dnnl::memory::desc scratchpad_;
  std::vector<Operand> operands_;
  // One an operand; empty where it is taken as it lies.
  std::vector<dnnl::reorder> reorders_;
};

class Device {
 public:
  // The calling thread's; made at its first call.
  static Device& OfThread();

  // The size of the thread's OpenMP team, 1 until set.
  void SetThreads(int threads);
  int Threads() const;

  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream() { return stream_; }

  // The primitive of that key and of the team's size, made where it is not yet there.
  PreparedPrimitive& Prepared(const std::string& key,
                              const std::function<PreparedPrimitive()>& make);

  // Whether the processor multiplies bfloat16 numbers.
  static bool MultipliesBfloat16();

  // Whether it has instructions that multiply whole tiles of them (AMX).
  static bool HasMatrixTiles();

 private:
  Device();

  // Beyond it all are dropped: shapes that change at every call would otherwise pile up.
  static constexpr size_t kMaxPrimitives = 512;

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::unordered_map<std::string, PreparedPrimitive> primitives_;
};

// Key of a primitive: the bytes of plain values.
template <typename... Plain>
std::string KeyOf(const char* kernel, const std::vector<int64_t>& sizes, Plain... options) {
  std::string key = kernel;
  key.append(reinterpret_cast<const char*>(sizes.data()), sizes.size() * sizeof(int64_t));
  (key.append(1, static_cast<char>(options)), ...);
  return key;
}

// oneDNN 2 describes an operation before a primitive, oneDNN 3 both at once; else they agree.
template <typename Primitive, typename... Description>
typename Primitive::primitive_desc Describe(const dnnl::primitive_attr& attributes,
                                            const Description&... description) {
#if DNNL_VERSION_MAJOR >= 3
  return {Device::OfThread().engine(), description..., attributes};
#else
  return {typename Primitive::desc(description...), attributes, Device::OfThread().engine()};
#endif
}

// The same for a gradient, which takes the forward primitive's description as a hint.
template <typename Primitive, typename Hint, typename... Description>
typename Primitive::primitive_desc DescribeGradient(const dnnl::primitive_attr& attributes,
                                                    const Hint& hint,
                                                    const Description&... description) {
#if DNNL_VERSION_MAJOR >= 3
  return {Device::OfThread().engine(), description..., hint, attributes};
#else
  return {typename Primitive::desc(description...), attributes, Device::OfThread().engine(), hint};
#endif
}

// Attributes of every primitive: scratch memory is ours, and ReLU is applied at the end if wanted.
dnnl::primitive_attr AttributesOf(bool relu);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_ENGINE_H_
