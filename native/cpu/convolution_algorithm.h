// Which algorithm computes a convolution: a function of its geometry, its precision and the processor, so that a run that is
// resumed on the same machine computes the same bits.

#ifndef TWOTOWER_NATIVE_CONVOLUTION_ALGORITHM_H_
#define TWOTOWER_NATIVE_CONVOLUTION_ALGORITHM_H_

#include <optional>

#include "../kernels.h"
#include "fft_convolution.h"

namespace twotower {

enum class Algorithm { kDirect, kWinograd, kFft };

enum class Pass { kForward, kInputGradient, kFilterGradient };

// Grows when the same convolution may be computed by another algorithm than before, or to other bits by the same one.
constexpr int kAlgorithmsVersion = 3;

// How one pass is computed. With the FFT and with Winograd's algorithm operands are float32 in every precision.
struct Choice {
  Algorithm algorithm;
  // With kFft: of this convolution, of the convolution of dy for kInputGradient, or of blocks.
  std::optional<FftPlan> plan;
  // With kFft: the pixels of a stride are taken together as channels (space_to_depth.h).
  bool in_blocks = false;
  // Multiplications and additions that the algorithm needs.
  double operations = 0;
};

// The choice of the calling thread, remembered for each geometry.
const Choice& ChoiceOf(Pass pass, const Geometry& g, Precision precision);

// How this algorithm computes a pass, with transforms of `size` (0: of the cheapest size); nothing if it does not.
std::optional<Choice> ChoiceBy(Algorithm algorithm, int size, Pass pass, const Geometry& g);

// From now on the calling thread takes this algorithm and size for the pass, whatever the batch, where they compute it.
void KeepAlgorithm(Algorithm algorithm, int size, Pass pass, const Geometry& g, Precision precision);

// From now on the calling thread takes this algorithm wherever it is possible; nothing: the cheapest.
void PreferAlgorithm(std::optional<Algorithm> algorithm);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_CONVOLUTION_ALGORITHM_H_
