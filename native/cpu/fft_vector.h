// Vectors of float32 in the compiler's own vector types, as wide as the processor's registers: 16 numbers with AVX-512, 8 with
// AVX, 4 elsewhere (SSE, NEON). The sources of the FFT convolution are the same for all of them.

#ifndef TWOTOWER_NATIVE_FFT_VECTOR_H_
#define TWOTOWER_NATIVE_FFT_VECTOR_H_

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

// Transforms are straight-line code over local arrays; a call would move those into memory.
#define TWOTOWER_INLINE __attribute__((always_inline))

namespace twotower::fft {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr size_t kVectorBytes = kLanes * sizeof(float);

typedef float Vector __attribute__((vector_size(kVectorBytes), aligned(kVectorBytes), may_alias));
typedef float UnalignedVector __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

TWOTOWER_INLINE inline Vector Load(const float* from) {
  return *reinterpret_cast<const Vector*>(from);
}

TWOTOWER_INLINE inline Vector LoadUnaligned(const float* from) {
  return *reinterpret_cast<const UnalignedVector*>(from);
}

TWOTOWER_INLINE inline void StoreUnaligned(float* to, Vector value) {
  *reinterpret_cast<UnalignedVector*>(to) = value;
}

// The first `count` numbers, 1 … kLanes, then zeros.
inline Vector LoadPart(const float* from, int count) {
  if (count == kLanes) return LoadUnaligned(from);
  Vector value{};
  std::memcpy(&value, from, count * sizeof(float));
  return value;
}

inline void StorePart(float* to, Vector value, int count) {
  if (count == kLanes) {
    StoreUnaligned(to, value);
  } else {
    std::memcpy(to, &value, count * sizeof(float));
  }
}

// Past the caches, where the instruction exists: the memory is not read first, and nothing else leaves the cache for it. `to`
// is aligned to a vector. FinishStreaming must follow before another thread reads.
TWOTOWER_INLINE inline void Stream(float* to, Vector value) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, reinterpret_cast<__m512>(value));
#elif defined(__AVX__)
  _mm256_stream_ps(to, reinterpret_cast<__m256>(value));
#else
  *reinterpret_cast<Vector*>(to) = value;
#endif
}

inline void FinishStreaming() {
#if defined(__AVX__)
  _mm_sfence();
#endif
}

// Asks for the cache line of `at` to be brought into the second-level cache.
TWOTOWER_INLINE inline void Prefetch(const float* at) { __builtin_prefetch(at, 0, 2); }

}  // namespace twotower::fft

#endif  // TWOTOWER_NATIVE_FFT_VECTOR_H_
