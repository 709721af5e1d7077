// A product of matrices as cuBLASLt describes it: their columns are contiguous.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_MATMUL_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_MATMUL_H_

#include <cstddef>
#include <cstdint>

#include "api.h"
#include "numbers.h"

namespace cuda_double {

struct MatmulDescriptor {
  int compute_type;
  int32_t transposes_a = 0;
  int32_t transposes_b = 0;
};

struct MatrixLayout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
  int32_t batches = 1;
  int64_t offset = 0;

  Format format() const {
    return type == twotower::cuda::kCudaFloat32 ? Format::kFloat32 : Format::kBfloat16;
  }

  // From the first element to behind the last one.
  size_t span() const {
    return static_cast<size_t>(leading) * (columns - 1) + rows +
           static_cast<size_t>(offset) * static_cast<size_t>(batches - 1);
  }
};

// Descriptors that fit together: op(A) is [rows, depth], op(B) [depth, columns].
struct MatmulProblem {
  // Throws cuBLASLt's status if they do not.
  MatmulProblem(const MatmulDescriptor& descriptor, const MatrixLayout& a, const MatrixLayout& b,
                const MatrixLayout& c, const MatrixLayout& d);

  // Differs for what needs different algorithms.
  uint64_t fingerprint() const;

  MatmulDescriptor descriptor;
  MatrixLayout a, b, c, d;
  uint64_t rows, columns, depth;
};

// The operands of a product, by addresses on the device.
struct MatmulOperands {
  const void* a;
  const void* b;
  const void* c;
  void* d;
  float alpha, beta;
};

// D = alpha op(A) op(B) + beta C, for each of the batch.
void Compute(const MatmulProblem& problem, const MatmulOperands& operands);

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_MATMUL_H_
