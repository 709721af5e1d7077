// Convolution through the frequency domain: of stride 1, by square filters of few sizes, in float32. Maps that are greater than
// the transforms are cut into tiles that overlap.
//
// A transform mixes the positions of its tile, and two tiles at once: a NaN or an infinity in one of them makes both NaN, and
// rounding errors are relative to the greater of the two.

#ifndef TWOTOWER_NATIVE_FFT_CONVOLUTION_H_
#define TWOTOWER_NATIVE_FFT_CONVOLUTION_H_

#include <optional>
#include <vector>

#include "../geometry.h"

namespace twotower {

// How a convolution is computed, and what it costs.
struct FftPlan {
  int n;                    // the transforms are n × n
  int64_t tiles_y, tiles_x; // of an image; 1 by 1 where the map fits whole, its padding wrapped round
  int64_t tile;             // rows and columns of the output that a tile gives
  // Of the forward pass and of the gradient by the filter, as multiplications and additions at the full speed of a core.
  double forward_cost, filter_cost;
  // Multiplications and additions of either.
  double operations;
};

// The sizes that transforms have, in ascending order.
std::vector<int> FftSizes();

// The plan with transforms of one of these sizes; nothing if they do not suit the convolution, or if its spectra do not fit the
// scratch memory of 128 MiB.
std::optional<FftPlan> FftPlanOfSize(const Geometry& g, int n);

// The cheapest plan of any size.
std::optional<FftPlan> FftPlanOf(const Geometry& g);

// y = x ∗ filter + bias, then ReLU; `bias` may be null. The same bits whatever the number of threads.
void FftForward(const Geometry& g, const FftPlan& plan, const float* x, const float* filter,
                const float* bias, bool relu, float* y);

// The gradients by the filter, and by the bias unless `d_bias` is null.
void FftFilterGradient(const Geometry& g, const FftPlan& plan, const float* x, const float* dy,
                       float* d_filter, float* d_bias);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_FFT_CONVOLUTION_H_
