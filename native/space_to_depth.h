// A convolution with a stride as one of stride 1: each block of stride × stride positions of the input
// becomes one position with all their channels, and the filter likewise. Matrix instructions multiply 32
// channels at a time and an image has 3; blocks of 4×4 have 48.

#ifndef TWOTOWER_NATIVE_SPACE_TO_DEPTH_H_
#define TWOTOWER_NATIVE_SPACE_TO_DEPTH_H_

#include "geometry.h"

namespace twotower {

// Whether there are so few channels, and such a stride.
bool HasFewChannelsForItsStride(const Geometry& g);

// The convolution of blocks, without padding: same output.
Geometry GeometryOfBlocks(const Geometry& g);

// x to blocks, `GeometryOfBlocks(g).InShape()`; padding and what no window reads is 0.
void ToBlocks(const Geometry& g, const float* x, float* blocks);

// The filter over blocks, `GeometryOfBlocks(g).FilterShape()`.
void FilterToBlocks(const Geometry& g, const float* filter, float* blocks);

// The filter's gradient from that of the filter over blocks, `GeometryOfBlocks(g).FilterShape()`.
void FilterFromBlocks(const Geometry& g, const float* blocks, float* filter);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_SPACE_TO_DEPTH_H_
