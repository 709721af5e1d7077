// Max and average pooling and their gradients. Max pooling takes a vector of channels at a time, so that what a window has found
// stays in a register; average pooling loops over the channels of one position.

#include <algorithm>
#include <limits>
#include <vector>

#include "../kernels.h"
#include "fft_vector.h"
#include "normalization.h"
#include "parallel.h"
#include "pool_windows.h"

namespace twotower {
namespace {

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

using fft::kLanes;
using fft::Vector;

// Calls `body(first, load, store)` for each vector of channels; the last one may be of fewer.
template <typename Body>
void ForEachVector(int64_t channels, const Body& body) {
  int64_t first = 0;
  for (; first + kLanes <= channels; first += kLanes) {
    body(first, [](const float* from) { return fft::LoadUnaligned(from); },
         [](float* to, Vector value) { fft::StoreUnaligned(to, value); });
  }
  const int rest = static_cast<int>(channels - first);
  if (rest == 0) return;
  body(first, [rest](const float* from) { return fft::LoadPart(from, rest); },
       [rest](float* to, Vector value) { fft::StorePart(to, value, rest); });
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
      float* to = out + image * OutImage(g) + (y * g.out_width + column) * channels;
      const Window columns = ColumnsAt(g, column);
      ForEachVector(channels, [&](int64_t first, const auto& load, const auto& store) {
        Vector greatest = Vector{} - std::numeric_limits<float>::infinity();
        ForEachPosition(g, rows, columns, [&](int64_t position) {
          const Vector value = load(in + position + first);
          // Once a window has NaN, NaN stays.
          greatest = value > greatest || value != value ? value : greatest;
        });
        store(to + first, greatest);
      });
    }
  });
}

namespace {

// Gives the gradient of an output row, dy, to the first greatest of each of its windows. `in` is the image and `y` the output row;
// the gradient of the image's row r is added to what lies at `gradient_of(r)`.
template <typename GradientOf>
void AddMaxPoolGradient(const Geometry& g, int64_t row, const float* dy, const float* in,
                        const float* y, bool of_relu, const GradientOf& gradient_of) {
  const int64_t channels = g.in_channels;
  const Window rows = RowsAt(g, row);
  for (int64_t column = 0; column < g.out_width; column++) {
    const Window columns = ColumnsAt(g, column);
    ForEachVector(channels, [&](int64_t first, const auto& load, const auto& store) {
      const int64_t out = column * channels + first;
      const Vector greatest = load(y + out);
      // The gradient that is not yet given to a position; zero once the first maximum is found.
      Vector left = load(dy + out);
      // A ReLU lets the gradient through unless it gave 0 or less: not where it gave NaN.
      if (of_relu) left = greatest <= 0 ? Vector{} : left;
      for (int64_t r = rows.begin; r < rows.end; r += g.dilation_height) {
        const float* values = in + r * g.in_width * channels + first;
        float* gradients = gradient_of(r) + first;
        for (int64_t c = columns.begin; c < columns.end; c += g.dilation_width) {
          const Vector value = load(values + c * channels);
          float* given = gradients + c * channels;
          // Where a window holds NaN, that is its greatest.
          const auto is_greatest = value == greatest || value != value;
          store(given, load(given) + (is_greatest ? left : Vector{}));
          left = is_greatest ? Vector{} : left;
        }
      }
    });
  }
}

}  // namespace

void MaxPoolGradient(const Geometry& g, const float* dy, const float* x, const float* y, float* dx,
                     bool of_relu) {
  const int64_t in_row = g.in_width * g.in_channels;
  const int64_t out_row = g.out_width * g.out_channels;
  ForEachImage(g, [&](int64_t image) {
    float* gradient = dx + image * InImage(g);
    std::fill_n(gradient, InImage(g), 0.f);
    for (int64_t row = 0; row < g.out_height; row++) {
      const int64_t out = image * OutImage(g) + row * out_row;
      AddMaxPoolGradient(g, row, dy + out, x + image * InImage(g), y + out, of_relu,
                         [&](int64_t r) { return gradient + r * in_row; });
    }
  });
}

void MaxPoolOfNormalizedGradient(const Geometry& g, const Normalization& n, const float* dy,
                                 const float* x, const float* normalized, const float* y, float* dx,
                                 bool of_relu) {
  const int64_t in_row = g.in_width * g.in_channels;
  const int64_t out_row = g.out_width * g.out_channels;
  // As many rows as a window reaches over; a row's place is taken by a later one when its gradient is complete.
  const int64_t kept = (g.filter_height - 1) * g.dilation_height + 1;
  ForEachImage(g, [&](int64_t image) {
    NormalizationBlock scratch(n);
    std::vector<float> gradients(kept * in_row, 0.f);
    const auto gradient_of = [&](int64_t r) { return gradients.data() + r % kept * in_row; };
    int64_t complete = 0;
    const auto complete_up_to = [&](int64_t end) {
      for (; complete < end; complete++) {
        float* gradient = gradient_of(complete);
        const int64_t in = image * InImage(g) + complete * in_row;
        NormalizationGradientOfRows(n, g.in_width, gradient, x + in, of_relu, scratch, dx + in);
        std::fill_n(gradient, in_row, 0.f);
      }
    };
    for (int64_t row = 0; row < g.out_height; row++) {
      complete_up_to(RowsAt(g, row).begin);
      const int64_t out = image * OutImage(g) + row * out_row;
      AddMaxPoolGradient(g, row, dy + out, normalized + image * InImage(g), y + out, false,
                         gradient_of);
    }
    complete_up_to(g.in_height);
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
