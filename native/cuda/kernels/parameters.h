// Structures that kernels take by value. This file is compiled with the kernels, before them, and with what launches them.

#ifndef TWOTOWER_NATIVE_CUDA_KERNELS_PARAMETERS_H_
#define TWOTOWER_NATIVE_CUDA_KERNELS_PARAMETERS_H_

namespace twotower::cuda {

constexpr int kMostDimensions = 8;

// Threads of a block.
constexpr int kBlockThreads = 256;
// Side of the square that a block transposes, and rows of threads that do it.
constexpr int kTileSide = 32;
constexpr int kTileRows = kBlockThreads / kTileSide;

// The dimensions of a result, and by how far an index in each of them moves in two operands.
struct Broadcasting {
  int rank;
  unsigned long sizes[kMostDimensions];
  unsigned long a_strides[kMostDimensions];
  unsigned long b_strides[kMostDimensions];
};

// Dimensions that are visited, and by how far an index in each of them moves in the input and in the output.
struct Visit {
  int rank;
  unsigned long sizes[kMostDimensions];
  unsigned long x_strides[kMostDimensions];
  unsigned long out_strides[kMostDimensions];
};

// Sizes of pooling.
struct PoolSizes {
  int batch, channels;
  int in_height, in_width, out_height, out_width;
  int filter_height, filter_width;
  int stride_height, stride_width;
  int dilation_height, dilation_width;
  int pad_top, pad_left;
};

// Sizes of a resize, and the old pixels per new one.
struct ResizeSizes {
  int in_height, in_width, out_height, out_width, channels;
  double height_ratio, width_ratio;
  bool half_pixel_centers;
};

// Numbers of a window of an image: top, left, height, width, and whether it is flipped.
constexpr int kWindowNumbers = 5;

struct Window {
  int numbers[kWindowNumbers];
};

// Sizes of the images of a batch and of the network's input, and the numbers of each position's taps. Windows are cut from the
// images as they are, or else from the resized ones.
struct ViewSizes {
  int source_height, source_width, out_height, out_width;
  int row_stride, column_stride;
  bool cuts_source;
};

// Local response normalization of rows of `channels`.
struct NormalizationSizes {
  unsigned long rows;
  int channels, radius;
  float bias, alpha, beta;
};

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_KERNELS_PARAMETERS_H_
