#include "fft_convolution.h"

#include <algorithm>
#include <cmath>

#include "fft_spectrum.h"
#include "parallel.h"
#include "scratch.h"

namespace twotower {
namespace {

using fft::Bins;
using fft::Filters;
using fft::Images;
using fft::kLanes;
using fft::kRows;
using fft::RoundUp;
using fft::Spectrum;
using fft::Tiling;

constexpr int64_t kMostSpectrumFloats = (int64_t{128} << 20) / sizeof(float);

// How spectra are divided to fit the scratch memory: `rows` of one and `channels` of the other at a time.
struct Blocks {
  int64_t rows, channels;
};

// Three matrices for each bin: rows × inner, inner × channels, rows × channels.
int64_t FloatsOf(int bins, int64_t rows, int64_t inner, int64_t channels) {
  return Spectrum(rows, inner, bins).Floats() + Spectrum(inner, channels, bins).Floats() +
         Spectrum(rows, channels, bins).Floats();
}

// The most channels, in whole groups, for which these fit; 0 if none do.
int64_t MostChannels(int bins, int64_t rows, int64_t inner, int64_t channels) {
  int64_t most = RoundUp(channels, kLanes);
  while (most > 0 && FloatsOf(bins, rows, inner, most) > kMostSpectrumFloats) most -= kLanes;
  return std::min(most, channels);
}

// Tiles and output channels at a time. Each part of x is transformed once; the filters are transformed for each part of the tiles,
// unless all channels fit.
std::optional<Blocks> ForwardBlocks(int bins, int64_t tiles, int64_t in, int64_t out) {
  constexpr int64_t kFewChannels = 4 * 16;
  std::optional<Blocks> found;
  for (int64_t parts = 1; parts <= tiles; parts++) {
    const int64_t rows = RoundUp((tiles + parts - 1) / parts, kRows);
    const int64_t channels = MostChannels(bins, rows, in, out);
    if (channels == out) return Blocks{rows, channels};
    if (channels >= kFewChannels) {
      if (parts == 1) return Blocks{rows, channels};
      if (!found) found = Blocks{rows, channels};
    }
    // Fewer rows would read the filters' spectra too often.
    if (rows <= 32) break;
  }
  return found;
}

// Input channels and output channels at a time, of all tiles: sums over tiles are not divided. dy is transformed for each part of
// the input channels.
std::optional<Blocks> FilterBlocks(int bins, int64_t tiles, int64_t in, int64_t out) {
  for (int64_t parts = 1; (parts - 1) * kLanes < in; parts++) {
    const int64_t rows = std::min(in, RoundUp((in + parts - 1) / parts, kLanes));
    const int64_t channels = MostChannels(bins, rows, tiles, out);
    if (channels > 0) return Blocks{rows, channels};
  }
  return std::nullopt;
}

// Whether this plan's size suits the convolution; sets how the maps are divided.
bool Divide(const Geometry& g, FftPlan& plan) {
  const int64_t size = g.filter_height;
  const int64_t reach = std::max({g.in_height + std::max(g.pad_top, g.PadBottom()),
                                  g.in_width + std::max(g.pad_left, g.PadRight()), g.out_height,
                                  g.out_width});
  if (reach <= plan.n) {
    plan.tile = plan.n;
    plan.tiles_y = plan.tiles_x = 1;
    return true;
  }
  plan.tile = plan.n - size + 1;
  if (plan.tile < size) return false;
  plan.tiles_y = (g.out_height + plan.tile - 1) / plan.tile;
  plan.tiles_x = (g.out_width + plan.tile - 1) / plan.tile;
  return true;
}

bool IsWhole(const FftPlan& plan) { return plan.tile == plan.n; }

Tiling InputTiling(const Geometry& g, const FftPlan& plan) {
  if (IsWhole(plan)) return {1, 1, 0, 0, 0, plan.n};
  return {plan.tiles_y, plan.tiles_x, plan.tile, g.pad_top, g.pad_left, plan.n};
}

Tiling OutputTiling(const FftPlan& plan) {
  return {plan.tiles_y, plan.tiles_x, plan.tile, 0, 0, plan.tile};
}

Images InputOf(const Geometry& g, const float* x, int64_t first, int64_t count) {
  return {const_cast<float*>(x), g.batch, g.in_height, g.in_width, g.in_channels, first, count};
}

Images OutputOf(const Geometry& g, const float* y, int64_t first, int64_t count) {
  return {const_cast<float*>(y), g.batch, g.out_height, g.out_width, g.out_channels, first, count};
}

Filters FiltersOf(const Geometry& g, const FftPlan& plan, const float* filter) {
  const bool whole = IsWhole(plan);
  return {const_cast<float*>(filter), g.filter_height, g.in_channels, g.out_channels,
          0, g.in_channels, 0, g.out_channels,
          whole ? g.pad_top : 0, whole ? g.pad_left : 0};
}

int64_t TilesOf(const Geometry& g, const FftPlan& plan) {
  return g.batch * plan.tiles_y * plan.tiles_x;
}

// Gives the spectra their places in scratch memory.
void Place(std::initializer_list<Spectrum*> spectra) {
  int64_t floats = 0;
  for (const Spectrum* spectrum : spectra) floats += spectrum->Floats();
  auto* data = static_cast<float*>(
      ScratchFor(ScratchPurpose::kSpectra, floats * sizeof(float)));
  for (Spectrum* spectrum : spectra) {
    spectrum->data = data;
    data += spectrum->Floats();
  }
}

// A spectrum of at most as many rows and channels, in the same place.
Spectrum PartOf(const Spectrum& whole, int64_t rows, int64_t channels) {
  Spectrum part(rows, channels, whole.bins);
  part.data = whole.data;
  return part;
}

float* HalfTransforms(const FftPlan& plan) {
  return static_cast<float*>(
      ScratchFor(ScratchPurpose::kHalfTransforms,
                 fft::ImageScratchFloats(plan.n, omp_get_max_threads()) * sizeof(float)));
}

// The cost model. Its unit is a multiplication or an addition at the full speed of a core, which is what products are counted in;
// factors are what the other steps took beside them on a Zen 5 core, at most twice that elsewhere.
struct StepCosts {
  double products, input, output, filters, filter_gradients;
  // Without those factors, of either pass.
  double operations;
};

StepCosts CostsOf(const Geometry& g, const FftPlan& plan) {
  const double n = plan.n;
  const double rows = RoundUp(TilesOf(g, plan), kRows);
  const double in = RoundUp(g.in_channels, kLanes);
  const double out = RoundUp(g.out_channels, kLanes);
  const double inner = RoundUp(g.in_channels, kRows);
  // One-dimensional transforms of two tiles at once: rows, and then columns.
  const auto images = [&](double height, double channels) {
    return rows / 2 * channels * (std::min(n, height) + n) * n * std::log2(n);
  };
  const double half = plan.n / 2 + 1;
  const double size = g.filter_height;
  const double filters = inner * out * 2 * half * size * (2 * size + 4 * half);
  // Three multiplications and additions of real numbers for a complex one.
  const double products = 6 * Bins{plan.n}.Count() * rows * inner * out;
  const double input = images(static_cast<double>(g.in_height), in);
  const double output = images(static_cast<double>(g.out_height), out);
  // A transform of n numbers is counted as 5·n·log2 n operations.
  return {products / 0.8, 32 * input,   45 * output,
          6 * filters,     10 * filters, products + 5 * (input + output) + filters};
}

void SetCosts(const Geometry& g, const Blocks& forward, const Blocks& filter, FftPlan& plan) {
  const StepCosts costs = CostsOf(g, plan);
  const auto parts = [](int64_t whole, int64_t part) {
    return static_cast<double>((whole + part - 1) / part);
  };
  const bool keeps_filters = forward.channels == g.out_channels;
  plan.forward_cost = costs.products + costs.input + costs.output +
                      costs.filters * (keeps_filters ? 1 : parts(TilesOf(g, plan), forward.rows));
  plan.operations = costs.operations;
  plan.filter_cost = costs.products + costs.input + costs.filter_gradients +
                     costs.output * parts(g.in_channels, filter.rows);
}

// The gradient by the bias: the sums of dy, which bin 0 holds.
void BiasGradient(const Spectrum& dy, int64_t count, float* d_bias) {
  for (int64_t group = 0; group < dy.groups; group++) {
    fft::Vector sum{};
    for (int64_t row = 0; row < dy.rows; row += 2) {
      const float* at = dy.At(0, group, row);
      sum += fft::Load(at) + fft::Load(at + kLanes);
    }
    const int64_t first = group * kLanes;
    fft::StorePart(d_bias + first, sum, static_cast<int>(std::min<int64_t>(kLanes, count - first)));
  }
}

}  // namespace

std::vector<int> FftSizes() {
  std::vector<int> sizes;
  for (int n = 1; n <= fft::kMostTransform; n++) {
    if (fft::HasTransform(n)) sizes.push_back(n);
  }
  return sizes;
}

std::optional<FftPlan> FftPlanOfSize(const Geometry& g, int n) {
  const int64_t size = g.filter_height;
  if (!fft::HasTransform(n) || !fft::HasFilterSize(size) || g.filter_width != size ||
      g.stride_height != 1 || g.stride_width != 1 || g.dilation_height != 1 ||
      g.dilation_width != 1 ||
      std::max({g.pad_top, g.pad_left, g.PadBottom(), g.PadRight()}) >= size) {
    return std::nullopt;
  }
  FftPlan plan{};
  plan.n = n;
  if (!Divide(g, plan)) return std::nullopt;
  const int bins = Bins{n}.Count();
  const int64_t tiles = TilesOf(g, plan);
  const auto forward = ForwardBlocks(bins, tiles, g.in_channels, g.out_channels);
  const auto filter = FilterBlocks(bins, tiles, g.in_channels, g.out_channels);
  if (!forward || !filter) return std::nullopt;
  SetCosts(g, *forward, *filter, plan);
  return plan;
}

std::optional<FftPlan> FftPlanOf(const Geometry& g) {
  std::optional<FftPlan> best;
  for (const int n : FftSizes()) {
    const auto plan = FftPlanOfSize(g, n);
    if (plan && (!best || plan->forward_cost < best->forward_cost)) best = plan;
  }
  return best;
}

void FftForward(const Geometry& g, const FftPlan& plan, const float* x, const float* filter,
                const float* bias, bool relu, float* y) {
  const int bins = Bins{plan.n}.Count();
  const int64_t tiles = TilesOf(g, plan);
  const Blocks blocks = *ForwardBlocks(bins, tiles, g.in_channels, g.out_channels);
  float* scratch = HalfTransforms(plan);
  Spectrum all_x(blocks.rows, g.in_channels, bins);
  Spectrum all_filters(g.in_channels, blocks.channels, bins);
  Spectrum all_y(blocks.rows, blocks.channels, bins);
  Place({&all_x, &all_filters, &all_y});
  bool has_filters = false;
  for (int64_t tile = 0; tile < tiles; tile += blocks.rows) {
    const int64_t rows = std::min(blocks.rows, tiles - tile);
    const Spectrum x_spectrum = PartOf(all_x, rows, g.in_channels);
    for (int64_t first = 0; first < g.out_channels; first += blocks.channels) {
      const int64_t count = std::min(blocks.channels, g.out_channels - first);
      const Spectrum filters = PartOf(all_filters, g.in_channels, count);
      const Spectrum y_spectrum = PartOf(all_y, rows, count);
      if (first == 0) {
        fft::TransformImages(plan.n, InputOf(g, x, 0, g.in_channels), InputTiling(g, plan), tile,
                             x_spectrum, scratch);
      }
      if (!has_filters) {
        Filters part = FiltersOf(g, plan, filter);
        part.first = first;
        part.count = count;
        fft::TransformFilters(plan.n, part, filters);
        has_filters = count == g.out_channels;
      }
      fft::Multiply(x_spectrum, filters, g.in_channels, y_spectrum);
      fft::InverseImages(plan.n, y_spectrum, OutputOf(g, y, first, count), OutputTiling(plan), tile,
                         bias == nullptr ? nullptr : bias + first, relu, scratch);
    }
  }
}

void FftFilterGradient(const Geometry& g, const FftPlan& plan, const float* x, const float* dy,
                       float* d_filter, float* d_bias) {
  const int bins = Bins{plan.n}.Count();
  const int64_t tiles = TilesOf(g, plan);
  const Blocks blocks = *FilterBlocks(bins, tiles, g.in_channels, g.out_channels);
  float* scratch = HalfTransforms(plan);
  Spectrum all_x(tiles, blocks.rows, bins);
  Spectrum all_dy(tiles, blocks.channels, bins);
  Spectrum all_gradients(blocks.rows, blocks.channels, bins);
  Place({&all_x, &all_dy, &all_gradients});
  for (int64_t first_row = 0; first_row < g.in_channels; first_row += blocks.rows) {
    const int64_t rows = std::min(blocks.rows, g.in_channels - first_row);
    const Spectrum x_spectrum = PartOf(all_x, tiles, rows);
    for (int64_t first = 0; first < g.out_channels; first += blocks.channels) {
      const int64_t count = std::min(blocks.channels, g.out_channels - first);
      const Spectrum dy_spectrum = PartOf(all_dy, tiles, count);
      const Spectrum gradient = PartOf(all_gradients, rows, count);
      if (first == 0) {
        fft::TransformImages(plan.n, InputOf(g, x, first_row, rows), InputTiling(g, plan), 0,
                             x_spectrum, scratch);
      }
      fft::TransformImages(plan.n, OutputOf(g, dy, first, count), OutputTiling(plan), 0,
                           dy_spectrum, scratch);
      fft::MultiplyForFilters(x_spectrum, dy_spectrum, gradient);
      Filters part = FiltersOf(g, plan, d_filter);
      part.first_row = first_row;
      part.row_count = rows;
      part.first = first;
      part.count = count;
      fft::InverseFilters(plan.n, gradient, part);
      if (d_bias != nullptr && first_row == 0) BiasGradient(dy_spectrum, count, d_bias + first);
    }
  }
}

}  // namespace twotower
