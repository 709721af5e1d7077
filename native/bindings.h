// The functions of an addon as JavaScript sees them.

#ifndef TWOTOWER_NATIVE_BINDINGS_H_
#define TWOTOWER_NATIVE_BINDINGS_H_

#include <node_api.h>

#include <initializer_list>

#include "arguments.h"

namespace twotower {

// An exported function and how many arguments it takes.
struct Export {
  const char* name;
  Binding binding;
  size_t arguments;
};

// Defines the functions in `exports`. They must outlive the addon.
void Define(napi_env env, napi_value exports, const Export* functions, size_t count);

// Defines all functions of kernels.h.
void DefineKernels(napi_env env, napi_value exports);

namespace bindings {

// layer_bindings.cc
napi_value Conv2D(Arguments& arguments);
napi_value Conv2DBackpropInput(Arguments& arguments);
napi_value Conv2DBackpropFilter(Arguments& arguments);
napi_value Conv2DMaxPool(Arguments& arguments);
napi_value Conv2DMaxPoolBackpropFilter(Arguments& arguments);
napi_value MatMul(Arguments& arguments);
napi_value MaxPool(Arguments& arguments);
napi_value MaxPoolGradient(Arguments& arguments);
napi_value AveragePool(Arguments& arguments);
napi_value AveragePoolGradient(Arguments& arguments);
napi_value LocalResponseNormalization(Arguments& arguments);
napi_value LocalResponseNormalizationGradient(Arguments& arguments);
napi_value MaxPoolOfNormalizedGradient(Arguments& arguments);
napi_value SoftmaxCrossEntropy(Arguments& arguments);
napi_value MomentumUpdate(Arguments& arguments);
napi_value DropoutMask(Arguments& arguments);

// array_bindings.cc
napi_value Binary(Arguments& arguments);
napi_value Unary(Arguments& arguments);
napi_value ReluGradient(Arguments& arguments);
napi_value AddToChannels(Arguments& arguments);
napi_value Select(Arguments& arguments);
napi_value Fill(Arguments& arguments);
napi_value Cast(Arguments& arguments);
napi_value Reduce(Arguments& arguments);
napi_value ArgMax(Arguments& arguments);
napi_value Softmax(Arguments& arguments);

// movement_bindings.cc
napi_value Transpose(Arguments& arguments);
napi_value CopyBox(Arguments& arguments);
napi_value Gather(Arguments& arguments);
napi_value OneHot(Arguments& arguments);
napi_value Tile(Arguments& arguments);
napi_value ImagesFromBytes(Arguments& arguments);
napi_value ResizeBilinear(Arguments& arguments);

}  // namespace bindings
}  // namespace twotower

#endif  // TWOTOWER_NATIVE_BINDINGS_H_
