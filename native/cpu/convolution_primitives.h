// oneDNN's primitives for convolutions and their gradients. Activations stay [batch, height, width, channels] in memory;
// filters are reordered at each call, which costs less than a hundredth of the product.

#ifndef TWOTOWER_NATIVE_CONVOLUTION_PRIMITIVES_H_
#define TWOTOWER_NATIVE_CONVOLUTION_PRIMITIVES_H_

#include "../kernels.h"
#include "engine.h"

namespace twotower {

// Whether the gradient by the input is itself a convolution of dy, of stride 1, by the filter rotated by 180°.
bool IsConvolutionOfGradient(const Geometry& g);

// Geometry of that convolution, from dy to dx.
Geometry GradientGeometry(const Geometry& g);

// Operands: x, filter, out and, if there is one, bias. The dnnl::error `dnnl_unimplemented` if `winograd` and oneDNN does not have
// the algorithm for this convolution; the same holds for the gradients.
PreparedPrimitive MakeForward(const Geometry& g, bool has_bias, bool relu, Precision precision,
                              bool winograd);

// Operands: dy, filter, dx.
PreparedPrimitive MakeBackpropInput(const Geometry& g, Precision precision, bool winograd);

// Operands: x, dy, dFilter and, if there is one, dBias.
PreparedPrimitive MakeBackpropFilter(const Geometry& g, bool has_bias, Precision precision,
                                     bool winograd);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_CONVOLUTION_PRIMITIVES_H_
