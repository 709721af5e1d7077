// Kernels of training alone: the update rule and dropout.

// `check` is 0 before, and becomes NaN if weight or velocity is not finite afterwards.
KERNEL MomentumUpdate(uint64 count, float* weight, float* velocity, const float* gradient,
                      float* check, float momentum, float decay_rate, float gradient_rate) {
  // 0 · w is 0 unless w is NaN or infinite; then it is NaN, and so is the sum.
  float zero = 0;
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    const float w = weight[i];
    const float next = momentum * velocity[i] - decay_rate * w - gradient_rate * gradient[i];
    velocity[i] = next;
    weight[i] = w + next;
    zero += (w + next) * 0.f;
  }
  if (zero != 0) *check = NotANumber();
}

__device__ inline uint32 RotateLeft(uint32 word, int bits) {
  return word << bits | word >> (32 - bits);
}

// Threefry-2×32 with 20 rounds, which ../../src/random.ts explains: the two words at counter (x0, x1), in place.
__device__ inline void Threefry(uint32 k0, uint32 k1, uint32* x0, uint32* x1) {
  const int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  const uint32 keys[3] = {k0, k1, 0x1bd11bda ^ k0 ^ k1};
  *x0 += k0;
  *x1 += k1;
#pragma unroll
  for (int round = 0; round < 20; round++) {
    *x0 += *x1;
    *x1 = RotateLeft(*x1, rotations[round % 8]) ^ *x0;
    if (round % 4 != 3) continue;
    const int injection = round / 4 + 1;
    *x0 += keys[injection % 3];
    *x1 += keys[(injection + 1) % 3] + injection;
  }
}

// A block of two words gives four elements, 16 bits each. The key is at `place` unless that is null.
KERNEL DropoutMask(uint64 blocks, uint64 count, const uint32* place, uint32 key0, uint32 key1,
                   uint32 threshold, float kept, float* out) {
  if (place != nullptr) {
    key0 = place[0];
    key1 = place[1];
  }
  for (uint64 block = FirstIndex(); block < blocks; block += IndexStep()) {
    uint32 x0 = uint32(block);
    uint32 x1 = 0;
    Threefry(key0, key1, &x0, &x1);
    const uint32 bits[4] = {x0 & 0xffff, x0 >> 16, x1 & 0xffff, x1 >> 16};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (4 * block + i < count) out[4 * block + i] = bits[i] < threshold ? 0.f : kept;
    }
  }
}
