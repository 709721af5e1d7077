// The part of CUDA C++ that native/cuda/kernels uses, for a host compiler. build.mjs includes this header before the kernels.
//
// NVRTC has no standard headers, so a kernel can rely on nothing but the language and the names below.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_SHIM_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_SHIM_H_

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

#include "block.h"
#include "kernel_table.h"

// These come after the standard headers, which use some of the names in attributes.
#define __global__
#define __device__
#define __host__
#define __constant__ static
// Each stream has a thread, which runs one block at a time.
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))

#define threadIdx (cuda_double::position.thread)
#define blockIdx (cuda_double::position.block)
#define blockDim (cuda_double::position.threads)
#define gridDim (cuda_double::position.blocks)

constexpr int warpSize = 32;

inline void __syncthreads() { cuda_double::Barrier(); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

#define CUDA_DOUBLE_VECTOR2(type, element, bytes)       \
  struct __attribute__((aligned(bytes))) type {         \
    element x, y;                                       \
  };                                                    \
  inline type make_##type(element x, element y) { return {x, y}; }
#define CUDA_DOUBLE_VECTOR4(type, element, bytes)       \
  struct __attribute__((aligned(bytes))) type {         \
    element x, y, z, w;                                 \
  };                                                    \
  inline type make_##type(element x, element y, element z, element w) { return {x, y, z, w}; }
CUDA_DOUBLE_VECTOR2(float2, float, 8)
CUDA_DOUBLE_VECTOR2(int2, int, 8)
CUDA_DOUBLE_VECTOR2(uint2, unsigned, 8)
CUDA_DOUBLE_VECTOR4(float4, float, 16)
CUDA_DOUBLE_VECTOR4(int4, int, 16)
CUDA_DOUBLE_VECTOR4(uint4, unsigned, 16)
CUDA_DOUBLE_VECTOR4(ushort4, unsigned short, 8)
CUDA_DOUBLE_VECTOR4(uchar4, unsigned char, 4)
#undef CUDA_DOUBLE_VECTOR2
#undef CUDA_DOUBLE_VECTOR4

namespace cuda_double {

template <typename To, typename From>
inline To Reinterpret(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

}  // namespace cuda_double

inline float __int_as_float(int bits) { return cuda_double::Reinterpret<float>(bits); }
inline int __float_as_int(float value) { return cuda_double::Reinterpret<int>(value); }
inline float __uint_as_float(unsigned bits) { return cuda_double::Reinterpret<float>(bits); }
inline unsigned __float_as_uint(float value) { return cuda_double::Reinterpret<unsigned>(value); }

// The overloads that CUDA has: a call with other types is ambiguous there too. Of floats, they drop NaN if the other number
// is none.
#define CUDA_DOUBLE_EXTREMA(A, B, Result, least, greatest)          \
  inline Result min(A a, B b) {                                     \
    const Result x = static_cast<Result>(a), y = static_cast<Result>(b); \
    return least;                                                   \
  }                                                                 \
  inline Result max(A a, B b) {                                     \
    const Result x = static_cast<Result>(a), y = static_cast<Result>(b); \
    return greatest;                                                \
  }
#define CUDA_DOUBLE_INTEGER_EXTREMA(Signed, Unsigned)                                          \
  CUDA_DOUBLE_EXTREMA(Signed, Signed, Signed, (y < x ? y : x), (x < y ? y : x))                \
  CUDA_DOUBLE_EXTREMA(Unsigned, Unsigned, Unsigned, (y < x ? y : x), (x < y ? y : x))          \
  CUDA_DOUBLE_EXTREMA(Signed, Unsigned, Unsigned, (y < x ? y : x), (x < y ? y : x))            \
  CUDA_DOUBLE_EXTREMA(Unsigned, Signed, Unsigned, (y < x ? y : x), (x < y ? y : x))
CUDA_DOUBLE_INTEGER_EXTREMA(int, unsigned)
CUDA_DOUBLE_INTEGER_EXTREMA(long, unsigned long)
CUDA_DOUBLE_INTEGER_EXTREMA(long long, unsigned long long)
CUDA_DOUBLE_EXTREMA(float, float, float, fminf(x, y), fmaxf(x, y))
CUDA_DOUBLE_EXTREMA(double, double, double, fmin(x, y), fmax(x, y))
CUDA_DOUBLE_EXTREMA(float, double, double, fmin(x, y), fmax(x, y))
CUDA_DOUBLE_EXTREMA(double, float, double, fmin(x, y), fmax(x, y))
#undef CUDA_DOUBLE_INTEGER_EXTREMA
#undef CUDA_DOUBLE_EXTREMA

inline float rsqrtf(float value) { return 1.f / sqrtf(value); }
inline double rsqrt(double value) { return 1. / sqrt(value); }
inline float sinpif(float value) { return static_cast<float>(sin(value * 3.14159265358979323846)); }
inline float cospif(float value) { return static_cast<float>(cos(value * 3.14159265358979323846)); }
inline void sincospif(float value, float* sine, float* cosine) {
  *sine = sinpif(value);
  *cosine = cospif(value);
}

// Each of these rounds once. The kernels are compiled without contraction, so that plain operators do too.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float value) { return sqrtf(value); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __clz(int bits) { return bits == 0 ? 32 : __builtin_clz(static_cast<unsigned>(bits)); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

template <typename Value>
inline Value __ldg(const Value* address) {
  return *address;
}

// Kernels of two streams may add to the same number.
template <typename Value>
inline Value atomicAdd(Value* address, std::common_type_t<Value> value) {
  static_assert(std::is_same_v<Value, int> || std::is_same_v<Value, unsigned> ||
                std::is_same_v<Value, unsigned long long> || std::is_same_v<Value, float> ||
                std::is_same_v<Value, double>);
  Value old, sum;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  do {
    sum = old + value;
  } while (!__atomic_compare_exchange(address, &old, &sum, true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED));
  return old;
}

template <typename Value>
inline Value atomicMax(Value* address, std::common_type_t<Value> value) {
  static_assert(std::is_integral_v<Value>);
  Value old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (old < value && !__atomic_compare_exchange_n(address, &old, value, true, __ATOMIC_RELAXED,
                                                     __ATOMIC_RELAXED)) {
  }
  return old;
}

template <typename Value>
inline Value atomicOr(Value* address, std::common_type_t<Value> value) {
  return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}

template <typename Value>
inline Value atomicExch(Value* address, std::common_type_t<Value> value) {
  Value old;
  __atomic_exchange(address, &value, &old, __ATOMIC_RELAXED);
  return old;
}

// The C library's headers define these, NVRTC does not: a kernel that used them would compile here alone.
#undef INFINITY
#undef NAN
#undef HUGE_VAL
#undef HUGE_VALF
#undef FLT_MAX
#undef FLT_MIN
#undef FLT_EPSILON
#undef INT_MAX
#undef UINT_MAX
#undef M_PI
#define int8_t int8_t_is_not_in_NVRTC
#define int16_t int16_t_is_not_in_NVRTC
#define int32_t int32_t_is_not_in_NVRTC
#define int64_t int64_t_is_not_in_NVRTC
#define uint8_t uint8_t_is_not_in_NVRTC
#define uint16_t uint16_t_is_not_in_NVRTC
#define uint32_t uint32_t_is_not_in_NVRTC
#define uint64_t uint64_t_is_not_in_NVRTC

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_SHIM_H_
