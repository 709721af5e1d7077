// Kernels around the calls of cuDNN and cuBLASLt. All pointers are the device's.

#ifndef TWOTOWER_NATIVE_CUDA_LAYER_KERNELS_H_
#define TWOTOWER_NATIVE_CUDA_LAYER_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace twotower::cuda {

// Adds `bias` to each row of `channels`, unless it is null, then applies the ReLU; in place.
void AddBias(size_t rows, size_t channels, const float* bias, float* out, bool relu);

// The sum of all rows.
void BiasGradient(size_t rows, size_t channels, const float* dy, float* d_bias);

// From [height, width, in_channels, out_channels] to [out_channels, height, width, in_channels] and back. The second form may
// be of bfloat16 numbers.
void FilterToKrsc(int64_t height, int64_t width, int64_t in_channels, int64_t out_channels,
                  const float* filter, void* krsc, bool is_bf16);
void FilterFromKrsc(int64_t height, int64_t width, int64_t in_channels, int64_t out_channels,
                    const void* krsc, bool is_bf16, float* filter);

void ToBf16(size_t length, const float* x, void* out);
void FromBf16(size_t length, const void* x, float* out);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_LAYER_KERNELS_H_
