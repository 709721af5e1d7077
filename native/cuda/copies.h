// Functions of this addon alone that copy beside the device's work; src/backend/native/cuda_copies.ts says what each one does.

#ifndef TWOTOWER_NATIVE_CUDA_COPIES_H_
#define TWOTOWER_NATIVE_CUDA_COPIES_H_

#include "../bindings.h"

namespace twotower::cuda {

napi_value LockMemory(Arguments& arguments);
napi_value BeginUpload(Arguments& arguments);
napi_value FinishUploads(Arguments& arguments);
napi_value FinishUploadsFirst(Arguments& arguments);
napi_value BeginDownload(Arguments& arguments);
napi_value AnnounceValues(Arguments& arguments);
napi_value ContextOfGpu(Arguments& arguments);
napi_value ThrowIfFailed(Arguments& arguments);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_COPIES_H_
