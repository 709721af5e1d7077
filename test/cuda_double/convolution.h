// Convolutions of images in NHWC with filters in KRSC, and their gradients.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_CONVOLUTION_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_CONVOLUTION_H_

#include <cstddef>

#include "numbers.h"

namespace cuda_double {

struct ConvolutionShape {
  size_t batch, in_height, in_width, in_channels, out_height, out_width, out_channels;
  size_t filter_height, filter_width;
  size_t pad_height, pad_width, stride_height, stride_width, dilation_height, dilation_width;
  Format format;
  // Whether operands are rounded as tensor cores do.
  bool is_tf32;

  size_t positions() const { return out_height * out_width; }
  size_t window() const { return filter_height * filter_width * in_channels; }
  size_t in_image() const { return in_height * in_width * in_channels; }
  size_t out_image() const { return out_height * out_width * out_channels; }
  size_t filters() const { return out_channels * window(); }
};

void Forward(const ConvolutionShape& shape, const void* x, const void* filter, const Output& y);
void BackwardInput(const ConvolutionShape& shape, const void* filter, const void* dy,
                   const Output& dx);
void BackwardFilter(const ConvolutionShape& shape, const void* x, const void* dy,
                    const Output& d_filter);

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_CONVOLUTION_H_
