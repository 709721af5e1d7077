// Kernels for self_test.cc. They are compiled together with the project's own, after them.

KERNEL SelfTestReverse(float* values) {
  __shared__ float block[1024];
  const size_t first = size_t(blockIdx.x) * blockDim.x;
  block[threadIdx.x] = values[first + threadIdx.x];
  __syncthreads();
  values[first + threadIdx.x] = block[blockDim.x - 1 - threadIdx.x];
}

// Sums of the block's values that are made by halves, as the project's reductions do.
KERNEL SelfTestSum(const float* values, float* sums) {
  __shared__ float block[1024];
  block[threadIdx.x] = values[FirstIndex()];
  for (unsigned width = blockDim.x / 2; width > 0; width /= 2) {
    __syncthreads();
    if (threadIdx.x < width) block[threadIdx.x] += block[threadIdx.x + width];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = block[0];
}

KERNEL SelfTestUnevenBarriers() {
  if (threadIdx.x % 2 == 0) __syncthreads();
}

// Takes long enough that whoever does not wait for it is seen to.
KERNEL SelfTestSlowAdd(uint32* number, uint32 added, uint64 rounds) {
  const uint32 old = *number;
  volatile uint64 round = 0;
  while (round < rounds) round = round + 1;
  *number = old + added;
}
