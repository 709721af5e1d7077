// Dropout masks from Threefry-2×32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
// as easy as 1, 2, 3", SC 2011): the same numbers as src/random.ts, which explains the generator.

#include <cmath>

#include "../kernels.h"
#include "parallel.h"

namespace twotower {
namespace {

inline uint32_t RotateLeft(uint32_t word, int bits) {
  return (word << bits) | (word >> (32 - bits));
}

// The two words at counter (x0, x1), in place.
inline void Threefry(uint32_t k0, uint32_t k1, uint32_t& x0, uint32_t& x1) {
  constexpr int kRotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  const uint32_t keys[3] = {k0, k1, 0x1bd11bda ^ k0 ^ k1};
  x0 += k0;
  x1 += k1;
#pragma GCC unroll 20
  for (int round = 0; round < 20; round++) {
    x0 += x1;
    x1 = RotateLeft(x1, kRotations[round % 8]) ^ x0;
    if (round % 4 == 3) {
      const int injection = round / 4 + 1;
      x0 += keys[injection % 3];
      x1 += keys[(injection + 1) % 3] + injection;
    }
  }
}

}  // namespace

// A block of two words gives four elements, 16 bits each.
void DropoutMask(uint32_t key0, uint32_t key1, double rate, const Span<float>& out) {
  const auto threshold = static_cast<uint32_t>(std::floor(rate * 65536 + 0.5));
  const auto kept = static_cast<float>(1 / (1 - rate));
  const auto value = [=](uint32_t bits) { return bits < threshold ? 0.f : kept; };
  const size_t whole_blocks = out.length / 4;
  Parallel(whole_blocks, 32, [&](size_t begin, size_t end) {
    for (size_t block = begin; block < end; block++) {
      auto x0 = static_cast<uint32_t>(block);
      uint32_t x1 = 0;
      Threefry(key0, key1, x0, x1);
      out.data[4 * block] = value(x0 & 0xffff);
      out.data[4 * block + 1] = value(x0 >> 16);
      out.data[4 * block + 2] = value(x1 & 0xffff);
      out.data[4 * block + 3] = value(x1 >> 16);
    }
  });
  if (4 * whole_blocks < out.length) {
    auto x0 = static_cast<uint32_t>(whole_blocks);
    uint32_t x1 = 0;
    Threefry(key0, key1, x0, x1);
    const uint32_t bits[3] = {x0 & 0xffff, x0 >> 16, x1 & 0xffff};
    for (size_t i = 4 * whole_blocks; i < out.length; i++) out.data[i] = value(bits[i % 4]);
  }
}

}  // namespace twotower
