// The kernels that the double contains, by name. build.mjs generates the table.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_KERNEL_TABLE_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_KERNEL_TABLE_H_

#include <cstddef>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cuda_double {

struct Kernel {
  const char* name;
  // Copies the parameters from where a launch has them; the result runs the kernel for one thread.
  std::function<void()> (*bind)(void** parameters);
};

extern const Kernel kKernels[];
extern const size_t kKernelCount;
// The text of native/cuda/kernels that they were compiled from.
extern const char kKernelSource[];

template <auto kernel>
struct Binding;

template <typename... Parameters, void (*kernel)(Parameters...)>
struct Binding<kernel> {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "CUDA copies bytes");

  static std::function<void()> Bind(void** parameters) {
    return Bind(parameters, std::index_sequence_for<Parameters...>());
  }

 private:
  template <size_t... index>
  static std::function<void()> Bind([[maybe_unused]] void** parameters,
                                    std::index_sequence<index...>) {
    std::tuple<Parameters...> values;
    (std::memcpy(&std::get<index>(values), parameters[index], sizeof(Parameters)), ...);
    return [values] { std::apply(kernel, values); };
  }
};

}  // namespace cuda_double

#define CUDA_DOUBLE_KERNEL(name) {#name, &::cuda_double::Binding<&::name>::Bind}

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_KERNEL_TABLE_H_
