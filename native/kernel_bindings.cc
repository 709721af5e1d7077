// The functions of kernels.h, by their names in JavaScript.

#include "bindings.h"

namespace twotower {
namespace {

const Export kKernels[] = {
    {"conv2d", bindings::Conv2D, 7},
    {"conv2dBackpropInput", bindings::Conv2DBackpropInput, 5},
    {"conv2dBackpropFilter", bindings::Conv2DBackpropFilter, 6},
    {"conv2dMaxPool", bindings::Conv2DMaxPool, 8},
    {"conv2dMaxPoolBackpropFilter", bindings::Conv2DMaxPoolBackpropFilter, 8},
    {"matMul", bindings::MatMul, 9},
    {"maxPool", bindings::MaxPool, 3},
    {"maxPoolGradient", bindings::MaxPoolGradient, 6},
    {"averagePool", bindings::AveragePool, 3},
    {"averagePoolGradient", bindings::AveragePoolGradient, 3},
    {"localResponseNormalization", bindings::LocalResponseNormalization, 7},
    {"localResponseNormalizationGradient", bindings::LocalResponseNormalizationGradient, 8},
    {"maxPoolOfNormalizedGradient", bindings::MaxPoolOfNormalizedGradient, 12},
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

}  // namespace

void DefineKernels(napi_env env, napi_value exports) {
  Define(env, exports, kKernels, sizeof(kKernels) / sizeof(kKernels[0]));
}

}  // namespace twotower
