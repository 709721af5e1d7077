// Convolutions through the frequency domain (native/cpu/fft_*.cc) against direct sums in float64, as a program of its own, so that
// it can be compiled for any processor and with any sanitizer.
//
//     fft_check SHAPES THREADS     compares that many random convolutions, every size of a transform among them
//     fft_check time               processor time of one tower's conv2, one thread: forward and by the filter
//
// Prints one JSON object.

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <random>
#include <vector>

#include "../native/cpu/fft_convolution.h"
#include "../native/cpu/fft_vector.h"

namespace {

using twotower::FftPlan;
using twotower::Geometry;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

std::mt19937 bits(17);

int64_t From(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(bits);
}

Floats Normal(int64_t length) {
  std::normal_distribution<float> normal;
  Floats numbers(length);
  for (float& number : numbers) number = normal(bits);
  return numbers;
}

int64_t Inputs(const Geometry& g) { return g.batch * g.in_height * g.in_width * g.in_channels; }
int64_t Outputs(const Geometry& g) { return g.batch * g.out_height * g.out_width * g.out_channels; }
int64_t Elements(const Geometry& g) {
  return g.filter_height * g.filter_width * g.in_channels * g.out_channels;
}

// Stride 1; any batch up to 130, with padding of each side for itself.
Geometry RandomGeometry() {
  constexpr std::array<int64_t, 3> kSizes{3, 5, 7};
  // Under an emulator the direct sums of more would take minutes.
  constexpr int64_t kMostProducts = 4'000'000;
  Geometry g{};
  const int64_t size = kSizes[From(0, 2)];
  g.batch = From(1, 130);
  g.in_height = From(size, 50);
  g.in_width = From(size, 40);
  g.in_channels = From(1, 40);
  g.out_channels = From(1, 40);
  g.filter_height = g.filter_width = size;
  g.stride_height = g.stride_width = g.dilation_height = g.dilation_width = 1;
  g.pad_top = From(0, size - 1);
  g.pad_left = From(0, size - 1);
  const int64_t pad_bottom = From(0, size - 1), pad_right = From(0, size - 1);
  const auto products = [&] {
    g.out_height = g.in_height + g.pad_top + pad_bottom - size + 1;
    g.out_width = g.in_width + g.pad_left + pad_right - size + 1;
    return Outputs(g) * size * size * g.in_channels;
  };
  // Whichever is greatest is halved, so that large batches are of small maps or of few channels.
  const std::array<int64_t*, 4> sides{&g.in_channels, &g.out_channels, &g.in_height, &g.in_width};
  while (products() > kMostProducts) {
    int64_t& greatest = **std::max_element(
        sides.begin(), sides.end(), [](const int64_t* a, const int64_t* b) { return *a < *b; });
    if (greatest <= size) {
      g.batch = (g.batch + 1) / 2;
    } else {
      greatest = std::max(size, (greatest + 1) / 2);
    }
  }
  return g;
}

// Calls `call(x, filter, y)` with the indices of the first channels of each product, and returns how many there were.
template <typename Call>
void ForEachProduct(const Geometry& g, const Call& call) {
  for (int64_t image = 0; image < g.batch; image++) {
    for (int64_t row = 0; row < g.out_height; row++) {
      for (int64_t column = 0; column < g.out_width; column++) {
        for (int64_t a = 0; a < g.filter_height; a++) {
          for (int64_t b = 0; b < g.filter_width; b++) {
            const int64_t in_row = row + a - g.pad_top;
            const int64_t in_column = column + b - g.pad_left;
            if (in_row < 0 || in_row >= g.in_height || in_column < 0 || in_column >= g.in_width) {
              continue;
            }
            call(((image * g.in_height + in_row) * g.in_width + in_column) * g.in_channels,
                 (a * g.filter_width + b) * g.in_channels * g.out_channels,
                 ((image * g.out_height + row) * g.out_width + column) * g.out_channels);
          }
        }
      }
    }
  }
}

double RelativeError(const Floats& found, const Doubles& wanted) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < wanted.size(); i++) {
    difference += (found[i] - wanted[i]) * (found[i] - wanted[i]);
    norm += wanted[i] * wanted[i];
  }
  // A convolution of which every output reads padding alone.
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

double ForwardError(const Geometry& g, const FftPlan& plan, const Floats& x, const Floats& filter,
                    bool relu) {
  const Floats bias = Normal(g.out_channels);
  Doubles wanted(Outputs(g));
  for (size_t i = 0; i < wanted.size(); i++) wanted[i] = bias[i % g.out_channels];
  ForEachProduct(g, [&](int64_t from, int64_t element, int64_t to) {
    for (int64_t c = 0; c < g.in_channels; c++) {
      for (int64_t o = 0; o < g.out_channels; o++) {
        wanted[to + o] += static_cast<double>(x[from + c]) * filter[element + c * g.out_channels + o];
      }
    }
  });
  if (relu) {
    for (double& value : wanted) value = std::max(0.0, value);
  }
  Floats y(wanted.size(), NAN);
  FftForward(g, plan, x.data(), filter.data(), bias.data(), relu, y.data());
  return RelativeError(y, wanted);
}

double FilterError(const Geometry& g, const FftPlan& plan, const Floats& x) {
  const Floats dy = Normal(Outputs(g));
  Doubles wanted(Elements(g)), wanted_bias(g.out_channels), magnitudes(g.out_channels);
  ForEachProduct(g, [&](int64_t from, int64_t element, int64_t to) {
    for (int64_t c = 0; c < g.in_channels; c++) {
      for (int64_t o = 0; o < g.out_channels; o++) {
        wanted[element + c * g.out_channels + o] += static_cast<double>(x[from + c]) * dy[to + o];
      }
    }
  });
  for (size_t i = 0; i < dy.size(); i++) {
    wanted_bias[i % g.out_channels] += dy[i];
    magnitudes[i % g.out_channels] += std::abs(dy[i]);
  }
  Floats d_filter(wanted.size(), NAN), d_bias(g.out_channels, NAN);
  FftFilterGradient(g, plan, x.data(), dy.data(), d_filter.data(), d_bias.data());
  double error = RelativeError(d_filter, wanted);
  // By the sum of what was added: the sums themselves may be near zero.
  for (int64_t o = 0; o < g.out_channels; o++) {
    error = std::max(error, std::abs(d_bias[o] - wanted_bias[o]) / magnitudes[o]);
  }
  return error;
}

// The gradient by the input is a forward pass over dy, so that two passes are all.
void Compare(int shapes) {
  const std::vector<int> sizes = twotower::FftSizes();
  double worst = 0;
  int odd_batches = 0;
  int64_t largest_batch = 0;
  std::map<int, int> compared;
  for (int shape = 0; shape < shapes; shape++) {
    const Geometry g = RandomGeometry();
    auto plan = FftPlanOfSize(g, sizes[shape % sizes.size()]);
    if (!plan) plan = FftPlanOf(g);
    const Floats x = Normal(Inputs(g));
    const double error = std::max(ForwardError(g, *plan, x, Normal(Elements(g)), shape % 2 == 0),
                                  FilterError(g, *plan, x));
    // NaN is no number that is less.
    if (!(error <= worst)) worst = error;
    compared[plan->n]++;
    odd_batches += static_cast<int>(g.batch % 2);
    largest_batch = std::max(largest_batch, g.batch);
  }
  std::printf("{\"lanes\": %d, \"shapes\": %d, \"oddBatches\": %d, \"largestBatch\": %d, \"worstError\": ",
              twotower::fft::kLanes, shapes, odd_batches, static_cast<int>(largest_batch));
  std::printf(std::isfinite(worst) ? "%.3g" : "null", worst);
  std::printf(", \"sizes\": {");
  const char* separator = "";
  for (const int n : sizes) {
    std::printf("%s\"%d\": %d", separator, n, compared[n]);
    separator = ", ";
  }
  std::printf("}}\n");
}

template <typename Work>
double Milliseconds(const Work& work) {
  double least = INFINITY;
  work();
  for (int turn = 0; turn < 5; turn++) {
    timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    work();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    least = std::min(least, (after.tv_sec - before.tv_sec) * 1e3 +
                                (after.tv_nsec - before.tv_nsec) / 1e6);
  }
  return least;
}

void Time() {
  const Geometry g{64, 27, 27, 48, 27, 27, 128, 5, 5, 1, 1, 1, 1, 2, 2};
  const FftPlan plan = *FftPlanOf(g);
  const Floats x = Normal(Inputs(g)), filter = Normal(Elements(g)), dy = Normal(Outputs(g));
  Floats y(Outputs(g)), d_filter(Elements(g));
  const double forward = Milliseconds(
      [&] { FftForward(g, plan, x.data(), filter.data(), nullptr, true, y.data()); });
  const double by_filter = Milliseconds(
      [&] { FftFilterGradient(g, plan, x.data(), dy.data(), d_filter.data(), nullptr); });
  std::printf("{\"forwardMs\": %.2f, \"filterMs\": %.2f}\n", forward, by_filter);
}

}  // namespace

int main(int count, char** arguments) {
  omp_set_num_threads(1);
  if (count == 2 && std::strcmp(arguments[1], "time") == 0) {
    Time();
    return 0;
  }
  if (count != 3) return 2;
  omp_set_num_threads(std::atoi(arguments[2]));
  Compare(std::atoi(arguments[1]));
}
