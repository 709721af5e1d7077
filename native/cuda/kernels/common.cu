// What all kernels share. The files of this folder are compiled as one text, parameters.h and this one first, because NVRTC is
// given no folders to include from.
//
// Kernels take sizes of any magnitude: they step through their elements by the size of the grid. Sums are made in an order
// that the sizes alone determine, so that the same input gives the same bits. NaN in an input is never dropped.

using namespace twotower::cuda;

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long uint64;

#define KERNEL extern "C" __global__ void

// Of the calling thread in the grid, and the number of threads in it.
__device__ inline uint64 FirstIndex() { return uint64(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline uint64 IndexStep() { return uint64(gridDim.x) * blockDim.x; }

__device__ inline float NotANumber() { return __int_as_float(0x7fc00000); }
__device__ inline float Infinity() { return __int_as_float(0x7f800000); }

// max(0, value), of which NaN stays NaN.
__device__ inline float Relu(float value) { return value < 0 ? 0.f : value; }

// Divides a 64-bit index. Most of them fit into 32 bits, in which a division takes a third of the time.
__device__ inline uint64 Quotient(uint64 a, uint64 b) {
  return ((a | b) >> 32) == 0 ? uint64(uint32(a) / uint32(b)) : a / b;
}

// Takes the last dimension's index off `rest`.
__device__ inline uint64 TakeIndex(uint64& rest, uint64 size) {
  const uint64 quotient = Quotient(rest, size);
  const uint64 index = rest - quotient * size;
  rest = quotient;
  return index;
}

// Combines `values`, one of each thread of the block, by halves; the result is on every thread.
template <typename T, typename Combine>
__device__ T CombineBlock(T value, T* values, const Combine& combine) {
  const int thread = threadIdx.x;
  __syncthreads();
  values[thread] = value;
  __syncthreads();
  for (int half = kBlockThreads / 2; half > 0; half /= 2) {
    if (thread < half) values[thread] = combine(values[thread], values[thread + half]);
    __syncthreads();
  }
  return values[0];
}
