// The update of one parameter by stochastic gradient descent with momentum and weight decay, in one pass
// over its memory.

#include "kernels.h"
#include "parallel.h"

namespace twotower {

napi_value MomentumUpdate(Arguments& arguments) {
  const Span<float> weight = arguments.Floats(0, "weight");
  float* velocity = arguments.Floats(1, "velocity", weight.length).data;
  const float* gradient = arguments.Floats(2, "gradient", weight.length).data;
  const double rate = arguments.Number(3, "rate");
  const auto momentum = static_cast<float>(arguments.Number(4, "momentum"));
  const auto decay_rate = static_cast<float>(arguments.Number(5, "decay") * rate);
  const auto gradient_rate = static_cast<float>(rate);
  Parallel(weight.length, 4, [&](size_t begin, size_t end) {
    float* __restrict w = weight.data;
    float* __restrict v = velocity;
    const float* __restrict g = gradient;
    for (size_t i = begin; i < end; i++) {
      const float next = momentum * v[i] - decay_rate * w[i] - gradient_rate * g[i];
      v[i] = next;
      w[i] += next;
    }
  });
  return nullptr;
}

}  // namespace twotower
