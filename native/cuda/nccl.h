// Functions of this addon alone that sum over processes by NCCL; src/backend/native/cuda_nccl.ts says what each one does.

#ifndef TWOTOWER_NATIVE_CUDA_NCCL_H_
#define TWOTOWER_NATIVE_CUDA_NCCL_H_

#include "../bindings.h"

namespace twotower::cuda {

napi_value NcclLibrary(Arguments& arguments);
napi_value NewNcclId(Arguments& arguments);
napi_value JoinNccl(Arguments& arguments);
napi_value BeginNcclSum(Arguments& arguments);
napi_value FinishNcclSumFirst(Arguments& arguments);
napi_value AreNcclSumsDone(Arguments& arguments);
napi_value TakeNcclMs(Arguments& arguments);

}  // namespace twotower::cuda

#endif  // TWOTOWER_NATIVE_CUDA_NCCL_H_
