// What all kernels share. The files of this folder are compiled together, this one first, by NVRTC: nothing can be included.
//
// Kernels take sizes of any magnitude: they step through their elements by the size of the grid. Sums are made in an order
// that the sizes alone determine, so that the same input gives the same bits. NaN in an input is never dropped.

typedef unsigned char uint8;
typedef unsigned int uint32;
typedef unsigned long long uint64;

#define KERNEL extern "C" __global__ void

// Of the calling thread in the grid, and the number of threads in it.
__device__ inline size_t FirstIndex() { return size_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline size_t IndexStep() { return size_t(gridDim.x) * blockDim.x; }

__device__ inline float NotANumber() { return __int_as_float(0x7fc00000); }
