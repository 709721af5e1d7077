// Products of float32 matrices.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_GEMM_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_GEMM_H_

#include <cstddef>

namespace cuda_double {

// A matrix in memory, by the distances between rows and between columns.
struct Matrix {
  const float* values;
  size_t row, column;
};

// c[rows, columns] = a[rows, depth] b[depth, columns], or adds that to c. The sums are made in the order of depth.
void Multiply(size_t rows, size_t columns, size_t depth, const Matrix& a, const Matrix& b, float* c,
              bool adds);

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_GEMM_H_
