// Launches the kernels of kernels/training.cu.

#include <cmath>

#include "../kernels.h"
#include "launch.h"

namespace twotower {

void MomentumUpdate(size_t length, float* weight, float* velocity, const float* gradient,
                    float* check, double rate, double momentum, double decay) {
  Fill({check, 1, Type::kFloat32}, 0);
  cuda::LaunchFor(length, "MomentumUpdate", length, weight, velocity, gradient, check,
                  static_cast<float>(momentum), static_cast<float>(decay * rate),
                  static_cast<float>(rate));
}

void DropoutMask(uint32_t key0, uint32_t key1, double rate, const Span<float>& out) {
  const auto threshold = static_cast<uint32_t>(std::floor(rate * 65536 + 0.5));
  const auto kept = static_cast<float>(1 / (1 - rate));
  const size_t blocks = (out.length + 3) / 4;
  const uint32_t* const place = cuda::Device::OfThread().NextKeyPlace();
  cuda::LaunchFor(blocks, "DropoutMask", blocks, out.length, place, key0, key1, threshold, kept,
                  out.data);
}

}  // namespace twotower
