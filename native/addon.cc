// The native backend's addon: kernels on a device (engine.h), on the typed arrays that hold tensors. Each thread that
// loads it has a device of its own.

#include <unistd.h>

#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "arguments.h"
#include "convolution_algorithm.h"
#include "engine.h"
#include "kernels.h"

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

struct Export {
  const char* name;
  Kernel kernel;
  size_t arguments;
};

const Export kExports[] = {
    {"information", Information, 0},
    {"setThreads", SetThreads, 1},
    {"endProcess", EndProcess, 1},
    {"prepareMemory", PrepareMemory, 1},
    {"conv2d", Conv2D, 7},
    {"conv2dBackpropInput", Conv2DBackpropInput, 5},
    {"conv2dBackpropFilter", Conv2DBackpropFilter, 6},
    {"preferConvolutionAlgorithm", PreferConvolutionAlgorithm, 1},
    {"convolutionAlgorithm", ConvolutionAlgorithm, 3},
    {"matMul", MatMul, 9},
    {"maxPool", MaxPool, 3},
    {"maxPoolGradient", MaxPoolGradient, 5},
    {"averagePool", AveragePool, 3},
    {"averagePoolGradient", AveragePoolGradient, 3},
    {"localResponseNormalization", LocalResponseNormalization, 7},
    {"localResponseNormalizationGradient", LocalResponseNormalizationGradient, 8},
    {"binary", Binary, 7},
    {"unary", Unary, 5},
    {"reluGradient", ReluGradient, 3},
    {"addToChannels", AddToChannels, 5},
    {"select", Select, 4},
    {"fill", Fill, 2},
    {"cast", Cast, 2},
    {"reduce", Reduce, 4},
    {"argMax", ArgMax, 3},
    {"softmax", Softmax, 4},
    {"softmaxCrossEntropy", SoftmaxCrossEntropy, 4},
    {"transpose", Transpose, 4},
    {"copyBox", CopyBox, 7},
    {"gather", Gather, 4},
    {"oneHot", OneHot, 5},
    {"tile", Tile, 4},
    {"imagesFromBytes", ImagesFromBytes, 3},
    {"resizeBilinear", ResizeBilinear, 5},
    {"momentumUpdate", MomentumUpdate, 7},
    {"dropoutMask", DropoutMask, 4},
};

// Called from JavaScript: runs the kernel of the Export in `data` and turns its exceptions into JavaScript's.
napi_value Call(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const Export& called = *static_cast<const Export*>(data);
  const auto message = [&](const char* reason) { return std::string(called.name) + ": " + reason; };
  try {
    Arguments arguments(env, info, called.arguments);
    return called.kernel(arguments);
  } catch (const TypeError& error) {
    napi_throw_type_error(env, nullptr, message(error.what()).c_str());
  } catch (const RangeError& error) {
    napi_throw_range_error(env, nullptr, message(error.what()).c_str());
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, nullptr, message("out of memory").c_str());
  } catch (const dnnl::error& error) {
    const bool no_memory = error.status == dnnl_out_of_memory;
    napi_throw_error(env, nullptr,
                     message(no_memory ? "out of memory" : error.message).c_str());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, message(error.what()).c_str());
  }
  return nullptr;
}

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
  for (const Export& one : kExports) {
    const napi_property_descriptor property = {
        one.name,        nullptr, Call, nullptr, nullptr, nullptr, napi_enumerable,
        const_cast<Export*>(&one)};
    napi_define_properties(env, exports, 1, &property);
  }
  return exports;
}
