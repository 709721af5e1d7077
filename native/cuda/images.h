// Functions of this addon alone that make the network's input; src/backend/native/cuda_input.ts says what each one does.

#ifndef TWOTOWER_NATIVE_CUDA_IMAGES_H_
#define TWOTOWER_NATIVE_CUDA_IMAGES_H_

#include "../bindings.h"

namespace twotower::cuda {

napi_value ImagesFromViews(Arguments& arguments);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_IMAGES_H_
