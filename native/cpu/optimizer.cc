// Updates one parameter by stochastic gradient descent with momentum and weight decay, in one pass over its memory.

#include <atomic>
#include <limits>

#include "../kernels.h"
#include "parallel.h"

namespace twotower {

void MomentumUpdate(size_t length, float* weight, float* velocity, const float* gradient,
                    float* check, double rate, double momentum, double decay) {
  const auto kept = static_cast<float>(momentum);
  const auto decay_rate = static_cast<float>(decay * rate);
  const auto gradient_rate = static_cast<float>(rate);
  std::atomic<bool> all_finite{true};
  Parallel(length, 4, [&](size_t begin, size_t end) {
    float* __restrict w = weight;
    float* __restrict v = velocity;
    const float* __restrict g = gradient;
    // 0 · w is 0 unless w is NaN or infinite; then it is NaN, and so is the sum.
    float zero = 0;
#pragma omp simd reduction(+ : zero)
    for (size_t i = begin; i < end; i++) {
      const float next = kept * v[i] - decay_rate * w[i] - gradient_rate * g[i];
      v[i] = next;
      w[i] += next;
      zero += w[i] * 0.f;
    }
    if (zero != 0) all_finite = false;
  });
  *check = all_finite ? 0.f : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace twotower
