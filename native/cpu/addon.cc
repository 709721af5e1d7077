// The native backend's addon for the CPU: the kernels, and what only this device has. Each thread that loads it has a
// device of its own (engine.h).

#include <unistd.h>

#include <optional>
#include <string>

#include "../bindings.h"
#include "../kernels.h"
#include "convolution_algorithm.h"
#include "engine.h"

namespace twotower {
namespace {

napi_value Information(Arguments& arguments) {
  const napi_env env = arguments.env();
  const dnnl_version_t* version = dnnl_version();
  const std::string number = std::to_string(version->major) + "." +
                             std::to_string(version->minor) + "." +
                             std::to_string(version->patch);
  napi_value result, one_dnn;
  napi_create_object(env, &result);
  napi_create_string_utf8(env, number.c_str(), number.size(), &one_dnn);
  napi_set_named_property(env, result, "oneDnn", one_dnn);
  napi_set_named_property(env, result, "bf16",
                          arguments.Boolean(Device::MultipliesBfloat16()));
  napi_set_named_property(env, result, "algorithms", arguments.Number(kAlgorithmsVersion));
  napi_set_named_property(env, result, "threads", arguments.Number(Device::OfThread().Threads()));
  return result;
}

// More than any machine has; OpenMP ends the process if it cannot start as many as it is told to.
constexpr int64_t kMostThreads = 4096;

napi_value SetThreads(Arguments& arguments) {
  Device::OfThread().SetThreads(static_cast<int>(arguments.Integer(0, "threads", 1, kMostThreads)));
  return nullptr;
}

// Node's own exit would wait for other threads.
napi_value EndProcess(Arguments& arguments) {
  _exit(static_cast<int>(arguments.Integer(0, "code", 0, 255)));
}

napi_value PrepareMemory(Arguments& arguments) {
  const Span<uint8_t> bytes = arguments.Bools(0, "bytes");
  // Two of x86's large pages and of most others'.
  constexpr size_t kWorthLargePages = 4 << 20;
  if (bytes.length >= kWorthLargePages) AskForLargePages(bytes.data, bytes.length);
  const auto beyond = reinterpret_cast<uintptr_t>(bytes.data) % kCacheLine;
  return arguments.Number(static_cast<double>((kCacheLine - beyond) % kCacheLine));
}

constexpr const char* kAlgorithmNames[] = {"direct", "winograd", "fft"};

napi_value PreferConvolutionAlgorithm(Arguments& arguments) {
  const int choice = arguments.Choice(0, "algorithm", {"direct", "winograd", "fft", "cheapest"});
  PreferAlgorithm(choice == 3 ? std::nullopt : std::optional(static_cast<Algorithm>(choice)));
  return nullptr;
}

// The arguments that say which pass of which convolution is meant.
struct PassArguments {
  Pass pass;
  Geometry geometry;
  Precision precision;

  explicit PassArguments(const Arguments& arguments)
      : pass(static_cast<Pass>(arguments.Choice(0, "pass", {"forward", "input", "filter"}))),
        geometry(Geometry::From(arguments.Sizes(1, "geometry", Geometry::kFields))),
        precision(static_cast<Precision>(
            arguments.Choice(2, "precision", {"float32", "bf16", "tf32"}))) {
    CheckPrecision(precision);
  }
};

napi_value ConvolutionAlgorithm(Arguments& arguments) {
  const PassArguments given(arguments);
  const Choice& choice = ChoiceOf(given.pass, given.geometry, given.precision);
  const napi_env env = arguments.env();
  napi_value result, name;
  napi_create_object(env, &result);
  napi_create_string_utf8(env, kAlgorithmNames[static_cast<int>(choice.algorithm)],
                          NAPI_AUTO_LENGTH, &name);
  napi_set_named_property(env, result, "algorithm", name);
  napi_set_named_property(env, result, "transformSize",
                          arguments.Number(choice.plan ? choice.plan->n : 0));
  napi_set_named_property(env, result, "operations", arguments.Number(choice.operations));
  return result;
}

// The arguments after those: an algorithm and the size of its transforms, 0 if it has none.
struct AlgorithmArguments {
  Algorithm algorithm;
  int size;

  explicit AlgorithmArguments(const Arguments& arguments)
      : algorithm(static_cast<Algorithm>(
            arguments.Choice(3, "algorithm", {"direct", "winograd", "fft"}))),
        size(static_cast<int>(arguments.Integer(4, "transformSize", 0, 4096))) {}
};

napi_value ComputesConvolutionBy(Arguments& arguments) {
  const PassArguments given(arguments);
  const AlgorithmArguments by(arguments);
  return arguments.Boolean(
      ChoiceBy(by.algorithm, by.size, given.pass, given.geometry).has_value());
}

napi_value KeepConvolutionAlgorithm(Arguments& arguments) {
  const PassArguments given(arguments);
  const AlgorithmArguments by(arguments);
  KeepAlgorithm(by.algorithm, by.size, given.pass, given.geometry, given.precision);
  return nullptr;
}

const Export kExports[] = {
    {"information", Information, 0},
    {"setThreads", SetThreads, 1},
    {"endProcess", EndProcess, 1},
    {"prepareMemory", PrepareMemory, 1},
    {"preferConvolutionAlgorithm", PreferConvolutionAlgorithm, 1},
    {"convolutionAlgorithm", ConvolutionAlgorithm, 3},
    {"computesConvolutionBy", ComputesConvolutionBy, 5},
    {"keepConvolutionAlgorithm", KeepConvolutionAlgorithm, 5},
};

// Whether this processor has the instructions of the one that set-up compiled for.
bool RunsHere() {
#if defined(__x86_64__)
#if defined(__AVX512F__)
  if (!__builtin_cpu_supports("avx512f")) return false;
#endif
#if defined(__AVX2__)
  if (!__builtin_cpu_supports("avx2")) return false;
#endif
#endif
  return true;
}

}  // namespace
}  // namespace twotower

NAPI_MODULE_INIT() {
  using namespace twotower;
  if (!RunsHere()) {
    napi_throw_error(env, nullptr,
                     "the native addon was built for another processor; run npm run setup");
    return nullptr;
  }
  DefineKernels(env, exports);
  Define(env, exports, kExports, sizeof(kExports) / sizeof(kExports[0]));
  return exports;
}
