// The functions that the addon exports; src/backend/native/addon.ts says what each takes and does.

#ifndef TWOTOWER_NATIVE_KERNELS_H_
#define TWOTOWER_NATIVE_KERNELS_H_

#include "arguments.h"

namespace twotower {

// convolution.cc
napi_value Conv2D(Arguments& arguments);
napi_value Conv2DBackpropInput(Arguments& arguments);
napi_value Conv2DBackpropFilter(Arguments& arguments);
napi_value PreferConvolutionAlgorithm(Arguments& arguments);
napi_value ConvolutionAlgorithm(Arguments& arguments);

// matmul.cc
napi_value MatMul(Arguments& arguments);

// pooling.cc
napi_value MaxPool(Arguments& arguments);
napi_value MaxPoolGradient(Arguments& arguments);
napi_value AveragePool(Arguments& arguments);
napi_value AveragePoolGradient(Arguments& arguments);

// normalization.cc
napi_value LocalResponseNormalization(Arguments& arguments);
napi_value LocalResponseNormalizationGradient(Arguments& arguments);

// elementwise.cc
napi_value Binary(Arguments& arguments);
napi_value Unary(Arguments& arguments);
napi_value ReluGradient(Arguments& arguments);
napi_value AddToChannels(Arguments& arguments);
napi_value Select(Arguments& arguments);
napi_value Fill(Arguments& arguments);
napi_value Cast(Arguments& arguments);

// reduction.cc
napi_value Reduce(Arguments& arguments);
napi_value ArgMax(Arguments& arguments);
napi_value Softmax(Arguments& arguments);
napi_value SoftmaxCrossEntropy(Arguments& arguments);

// movement.cc
napi_value Transpose(Arguments& arguments);
napi_value CopyBox(Arguments& arguments);

// indexing.cc
napi_value Gather(Arguments& arguments);
napi_value OneHot(Arguments& arguments);
napi_value Tile(Arguments& arguments);

// images.cc
napi_value ImagesFromBytes(Arguments& arguments);
napi_value ResizeBilinear(Arguments& arguments);

// optimizer.cc
napi_value MomentumUpdate(Arguments& arguments);

// random.cc
napi_value DropoutMask(Arguments& arguments);

// 0 for float32, 1 for bf16; an error where the processor does not have the latter.
int PrecisionOf(const Arguments& arguments, size_t index);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_KERNELS_H_
