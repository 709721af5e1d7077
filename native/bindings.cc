#include "bindings.h"

#include <exception>
#include <new>
#include <string>

namespace twotower {
namespace {

const Export kKernels[] = {
    {"conv2d", bindings::Conv2D, 7},
    {"conv2dBackpropInput", bindings::Conv2DBackpropInput, 5},
    {"conv2dBackpropFilter", bindings::Conv2DBackpropFilter, 6},
    {"matMul", bindings::MatMul, 9},
    {"maxPool", bindings::MaxPool, 3},
    {"maxPoolGradient", bindings::MaxPoolGradient, 5},
    {"averagePool", bindings::AveragePool, 3},
    {"averagePoolGradient", bindings::AveragePoolGradient, 3},
    {"localResponseNormalization", bindings::LocalResponseNormalization, 7},
    {"localResponseNormalizationGradient", bindings::LocalResponseNormalizationGradient, 8},
    {"softmaxCrossEntropy", bindings::SoftmaxCrossEntropy, 5},
    {"momentumUpdate", bindings::MomentumUpdate, 7},
    {"dropoutMask", bindings::DropoutMask, 4},
    {"binary", bindings::Binary, 7},
    {"unary", bindings::Unary, 5},
    {"reluGradient", bindings::ReluGradient, 3},
    {"addToChannels", bindings::AddToChannels, 5},
    {"select", bindings::Select, 4},
    {"fill", bindings::Fill, 2},
    {"cast", bindings::Cast, 2},
    {"reduce", bindings::Reduce, 4},
    {"argMax", bindings::ArgMax, 3},
    {"softmax", bindings::Softmax, 4},
    {"transpose", bindings::Transpose, 4},
    {"copyBox", bindings::CopyBox, 7},
    {"gather", bindings::Gather, 4},
    {"oneHot", bindings::OneHot, 5},
    {"tile", bindings::Tile, 4},
    {"imagesFromBytes", bindings::ImagesFromBytes, 3},
    {"resizeBilinear", bindings::ResizeBilinear, 5},
};

// Called from JavaScript: runs the binding of the Export in `data` and turns its exceptions into JavaScript's.
napi_value Call(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const Export& called = *static_cast<const Export*>(data);
  const auto message = [&](const char* reason) { return std::string(called.name) + ": " + reason; };
  try {
    Arguments arguments(env, info, called.arguments);
    return called.binding(arguments);
  } catch (const TypeError& error) {
    napi_throw_type_error(env, nullptr, message(error.what()).c_str());
  } catch (const RangeError& error) {
    napi_throw_range_error(env, nullptr, message(error.what()).c_str());
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, nullptr, message("out of memory").c_str());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, message(error.what()).c_str());
  }
  return nullptr;
}

}  // namespace

void Define(napi_env env, napi_value exports, const Export* functions, size_t count) {
  for (const Export* one = functions; one < functions + count; one++) {
    const napi_property_descriptor property = {
        one->name,       nullptr, Call, nullptr, nullptr, nullptr, napi_enumerable,
        const_cast<Export*>(one)};
    napi_define_properties(env, exports, 1, &property);
  }
}

void DefineKernels(napi_env env, napi_value exports) {
  Define(env, exports, kKernels, sizeof(kKernels) / sizeof(kKernels[0]));
}

}  // namespace twotower
