// One image at a time, as a product of matrices: row p of `windows` has the image's numbers in the window of output position p.

#include "convolution.h"

#include <algorithm>
#include <vector>

#include "gemm.h"

namespace cuda_double {
namespace {

// Calls `visit(window, image)` for the indices of each run of channels that lies in the image.
template <typename Visit>
void ForEachRun(const ConvolutionShape& s, const Visit& visit) {
  size_t window = 0;
  for (size_t p = 0; p < s.out_height; p++) {
    for (size_t q = 0; q < s.out_width; q++) {
      for (size_t r = 0; r < s.filter_height; r++) {
        for (size_t c = 0; c < s.filter_width; c++, window += s.in_channels) {
          // Below 0 they are very great.
          const size_t row = p * s.stride_height + r * s.dilation_height - s.pad_height;
          const size_t column = q * s.stride_width + c * s.dilation_width - s.pad_width;
          if (row >= s.in_height || column >= s.in_width) continue;
          visit(window, (row * s.in_width + column) * s.in_channels);
        }
      }
    }
  }
}

std::vector<float> WindowsOf(const ConvolutionShape& s, const std::vector<float>& image) {
  std::vector<float> windows(s.positions() * s.window());
  ForEachRun(s, [&](size_t window, size_t first) {
    std::copy_n(image.data() + first, s.in_channels, windows.data() + window);
  });
  return windows;
}

// Image i of an array of images.
std::vector<float> ReadImage(const ConvolutionShape& s, const void* from, size_t length, size_t i) {
  const auto* first = static_cast<const char*>(from) + i * length * BytesOf(s.format);
  return Read(first, length, s.format, s.is_tf32);
}

}  // namespace

void Forward(const ConvolutionShape& s, const void* x, const void* filter, const Output& y) {
  const std::vector<float> filters = Read(filter, s.filters(), s.format, s.is_tf32);
  std::vector<float> out(s.out_image());
  for (size_t i = 0; i < s.batch; i++) {
    const auto windows = WindowsOf(s, ReadImage(s, x, s.in_image(), i));
    Multiply(s.positions(), s.out_channels, s.window(), {windows.data(), s.window(), 1},
             {filters.data(), 1, s.window()}, out.data(), false);
    for (size_t k = 0; k < out.size(); k++) y.Store(i * out.size() + k, out[k]);
  }
}

void BackwardInput(const ConvolutionShape& s, const void* filter, const void* dy,
                   const Output& dx) {
  const std::vector<float> filters = Read(filter, s.filters(), s.format, s.is_tf32);
  std::vector<float> windows(s.positions() * s.window());
  std::vector<float> image(s.in_image());
  for (size_t i = 0; i < s.batch; i++) {
    const auto gradients = ReadImage(s, dy, s.out_image(), i);
    Multiply(s.positions(), s.window(), s.out_channels, {gradients.data(), s.out_channels, 1},
             {filters.data(), s.window(), 1}, windows.data(), false);
    std::fill(image.begin(), image.end(), 0.f);
    ForEachRun(s, [&](size_t window, size_t first) {
      for (size_t c = 0; c < s.in_channels; c++) image[first + c] += windows[window + c];
    });
    for (size_t k = 0; k < image.size(); k++) dx.Store(i * image.size() + k, image[k]);
  }
}

void BackwardFilter(const ConvolutionShape& s, const void* x, const void* dy,
                    const Output& d_filter) {
  std::vector<float> sums(s.filters());
  for (size_t i = 0; i < s.batch; i++) {
    const auto windows = WindowsOf(s, ReadImage(s, x, s.in_image(), i));
    const auto gradients = ReadImage(s, dy, s.out_image(), i);
    Multiply(s.out_channels, s.window(), s.positions(), {gradients.data(), 1, s.out_channels},
             {windows.data(), s.window(), 1}, sums.data(), true);
  }
  for (size_t k = 0; k < sums.size(); k++) d_filter.Store(k, sums[k]);
}

}  // namespace cuda_double
