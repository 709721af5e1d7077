// Max and average pooling and their gradients, by loops over the channels of one position.

#include <algorithm>
#include <limits>
#include <vector>

#include "../kernels.h"
#include "parallel.h"

namespace twotower {
namespace {

// The part of a window inside the input: its first row (or column) and the one after its last; the step between rows is
// the dilation.
struct Window {
  int64_t begin, end;
};

Window WindowAt(int64_t out, int64_t in_size, int64_t filter, int64_t stride, int64_t dilation,
                int64_t pad) {
  int64_t begin = out * stride - pad;
  const int64_t end = std::min(in_size, begin + (filter - 1) * dilation + 1);
  if (begin < 0) begin += (-begin + dilation - 1) / dilation * dilation;
  return {begin, end};
}

Window RowsAt(const Geometry& g, int64_t y) {
  return WindowAt(y, g.in_height, g.filter_height, g.stride_height, g.dilation_height, g.pad_top);
}

Window ColumnsAt(const Geometry& g, int64_t x) {
  return WindowAt(x, g.in_width, g.filter_width, g.stride_width, g.dilation_width, g.pad_left);
}

// Calls `visit(position)` for each input position of the window, in row-major order; a position is the
// index of its first channel in the image.
template <typename Visit>
void ForEachPosition(const Geometry& g, const Window& rows, const Window& columns,
                     const Visit& visit) {
  for (int64_t row = rows.begin; row < rows.end; row += g.dilation_height) {
    for (int64_t column = columns.begin; column < columns.end; column += g.dilation_width) {
      visit((row * g.in_width + column) * g.in_channels);
    }
  }
}

// Calls `body(image, y)` for every row of the output, divided among the team by rows.
template <typename Body>
void ForEachOutputRow(const Geometry& g, const Body& body) {
  const size_t cost = g.out_width * g.out_channels * g.filter_height * g.filter_width;
  Parallel(g.batch * g.out_height, cost, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      body(static_cast<int64_t>(row) / g.out_height, static_cast<int64_t>(row) % g.out_height);
    }
  });
}

// Calls `body(image)` for every image. One thread computes the whole gradient of an image, because windows overlap.
template <typename Body>
void ForEachImage(const Geometry& g, const Body& body) {
  const size_t cost =
      g.out_height * g.out_width * g.out_channels * g.filter_height * g.filter_width;
  Parallel(g.batch, cost, [&](size_t begin, size_t end) {
    for (size_t image = begin; image < end; image++) body(static_cast<int64_t>(image));
  });
}

int64_t InImage(const Geometry& g) { return g.in_height * g.in_width * g.in_channels; }
int64_t OutImage(const Geometry& g) { return g.out_height * g.out_width * g.out_channels; }

}  // namespace

void MaxPool(const Geometry& g, const float* x, float* out) {
  const int64_t channels = g.in_channels;
  ForEachOutputRow(g, [&](int64_t image, int64_t y) {
    const float* in = x + image * InImage(g);
    const Window rows = RowsAt(g, y);
    for (int64_t column = 0; column < g.out_width; column++) {
      float* __restrict greatest =
          out + image * OutImage(g) + (y * g.out_width + column) * channels;
      std::fill_n(greatest, channels, -std::numeric_limits<float>::infinity());
      ForEachPosition(g, rows, ColumnsAt(g, column), [&](int64_t position) {
        const float* __restrict value = in + position;
        for (int64_t c = 0; c < channels; c++) {
          // Once a window has NaN, NaN stays.
          greatest[c] = value[c] > greatest[c] || value[c] != value[c] ? value[c] : greatest[c];
        }
      });
    }
  });
}

void MaxPoolGradient(const Geometry& g, const float* dy, const float* x, const float* y, float* dx) {
  const int64_t channels = g.in_channels;
  ForEachImage(g, [&](int64_t image) {
    const float* in = x + image * InImage(g);
    float* gradient = dx + image * InImage(g);
    std::fill_n(gradient, InImage(g), 0.f);
    // Gradient not yet assigned, per channel; zero once the first maximum is found.
    std::vector<float> remaining(channels);
    float* __restrict left = remaining.data();
    for (int64_t row = 0; row < g.out_height; row++) {
      const Window rows = RowsAt(g, row);
      for (int64_t column = 0; column < g.out_width; column++) {
        const int64_t out = image * OutImage(g) + (row * g.out_width + column) * channels;
        const float* __restrict greatest = y + out;
        std::copy_n(dy + out, channels, left);
        ForEachPosition(g, rows, ColumnsAt(g, column), [&](int64_t position) {
          const float* __restrict value = in + position;
          float* __restrict given = gradient + position;
          for (int64_t c = 0; c < channels; c++) {
            // Where a window holds NaN, that is its greatest.
            const bool is_greatest = value[c] == greatest[c] || value[c] != value[c];
            given[c] += is_greatest ? left[c] : 0.f;
            left[c] = is_greatest ? 0.f : left[c];
          }
        });
      }
    }
  });
}

void AveragePool(const Geometry& g, const float* x, float* out) {
  const int64_t channels = g.in_channels;
  ForEachOutputRow(g, [&](int64_t image, int64_t y) {
    const float* in = x + image * InImage(g);
    const Window rows = RowsAt(g, y);
    for (int64_t column = 0; column < g.out_width; column++) {
      float* __restrict mean = out + image * OutImage(g) + (y * g.out_width + column) * channels;
      std::fill_n(mean, channels, 0.f);
      float count = 0;
      ForEachPosition(g, rows, ColumnsAt(g, column), [&](int64_t position) {
        const float* __restrict value = in + position;
        for (int64_t c = 0; c < channels; c++) mean[c] += value[c];
        count++;
      });
      for (int64_t c = 0; c < channels; c++) mean[c] /= count;
    }
  });
}

void AveragePoolGradient(const Geometry& g, const float* dy, float* dx) {
  const int64_t channels = g.in_channels;
  const float share = 1.f / static_cast<float>(g.filter_height * g.filter_width);
  ForEachImage(g, [&](int64_t image) {
    float* gradient = dx + image * InImage(g);
    std::fill_n(gradient, InImage(g), 0.f);
    for (int64_t row = 0; row < g.out_height; row++) {
      const Window rows = RowsAt(g, row);
      for (int64_t column = 0; column < g.out_width; column++) {
        const float* __restrict taken =
            dy + image * OutImage(g) + (row * g.out_width + column) * channels;
        ForEachPosition(g, rows, ColumnsAt(g, column), [&](int64_t position) {
          float* __restrict given = gradient + position;
          for (int64_t c = 0; c < channels; c++) given[c] += taken[c] * share;
        });
      }
    }
  });
}

}  // namespace twotower
