// Updates one parameter by stochastic gradient descent with momentum and weight decay, in one pass over its memory.

#include <atomic>
#include <limits>

#include "kernels.h"
#include "parallel.h"

namespace twotower {

napi_value MomentumUpdate(Arguments& arguments) {
  const Span<float> weight = arguments.Floats(0, "weight");
  float* velocity = arguments.Floats(1, "velocity", weight.length).data;
  const float* gradient = arguments.Floats(2, "gradient", weight.length).data;
  float* check = arguments.Floats(3, "check", 1).data;
  const double rate = arguments.Number(4, "rate");
  const auto momentum = static_cast<float>(arguments.Number(5, "momentum"));
  const auto decay_rate = static_cast<float>(arguments.Number(6, "decay") * rate);
  const auto gradient_rate = static_cast<float>(rate);
  std::atomic<bool> all_finite{true};
  Parallel(weight.length, 4, [&](size_t begin, size_t end) {
    float* __restrict w = weight.data;
    float* __restrict v = velocity;
    const float* __restrict g = gradient;
    // 0 · w is 0 unless w is NaN or infinite; then it is NaN, and so is the sum.
    float zero = 0;
#pragma omp simd reduction(+ : zero)
    for (size_t i = begin; i < end; i++) {
      const float next = momentum * v[i] - decay_rate * w[i] - gradient_rate * g[i];
      v[i] = next;
      w[i] += next;
      zero += w[i] * 0.f;
    }
    if (zero != 0) all_finite = false;
  });
  *check = all_finite ? 0.f : std::numeric_limits<float>::quiet_NaN();
  return nullptr;
}

}  // namespace twotower
