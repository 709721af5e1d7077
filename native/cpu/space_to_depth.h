// Turns a strided convolution into one of stride 1: each block of stride × stride positions of the input becomes one
// position with all their channels, and the filter likewise. Matrix instructions multiply 32 channels at a time and an
// image has 3; blocks of 4×4 have 48. Transforms to the frequency domain need stride 1.

#ifndef TWOTOWER_NATIVE_SPACE_TO_DEPTH_H_
#define TWOTOWER_NATIVE_SPACE_TO_DEPTH_H_

#include "../geometry.h"

namespace twotower {

// Whether the input has so few channels for the stride that blocks pay.
bool HasFewChannelsForItsStride(const Geometry& g);

// Geometry of the convolution of blocks: without padding, with the same output.
Geometry GeometryOfBlocks(const Geometry& g);

// Copies x into blocks of shape `GeometryOfBlocks(g).InShape()`. Padding, and what no window reads, is 0.
void ToBlocks(const Geometry& g, const float* x, float* blocks);

// Copies the filter into the filter over blocks, `GeometryOfBlocks(g).FilterShape()`.
void FilterToBlocks(const Geometry& g, const float* filter, float* blocks);

// Copies the gradient by the filter over blocks, `GeometryOfBlocks(g).FilterShape()`, into that by the filter.
void FilterFromBlocks(const Geometry& g, const float* blocks, float* filter);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_SPACE_TO_DEPTH_H_
