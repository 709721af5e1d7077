// Scratch memory of the calling thread's kernels.

#ifndef TWOTOWER_NATIVE_SCRATCH_H_
#define TWOTOWER_NATIVE_SCRATCH_H_

#include <cstddef>

namespace twotower {

// Asks the system for large pages in memory that was not written yet: they spare the processor most of its
// page-table look-ups, each of which costs a virtual machine double. It may decline.
void AskForLargePages(void* data, size_t bytes);

enum class ScratchPurpose {
  kPrimitive,
  kTurnedFilter,
  kBlocks,
  kFilterBlocks,
  kSpectra,
  kHalfTransforms,
  kSumsOfParts,
  kBetween,
  kTermsOfPart,
  kOperand0,
  kOperand1,
  kOperand2,
  kOperand3,
  kCount
};

// Memory of the calling thread, aligned to a page. What it holds is kept until the next request for the same purpose.
void* ScratchFor(ScratchPurpose purpose, size_t bytes);

inline float* ScratchFloats(ScratchPurpose purpose, size_t floats) {
  return static_cast<float*>(ScratchFor(purpose, floats * sizeof(float)));
}

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_SCRATCH_H_
