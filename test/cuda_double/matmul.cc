#include "matmul.h"

#include <vector>

#include "call.h"
#include "gemm.h"

namespace cuda_double {
namespace {

namespace cuda = twotower::cuda;

constexpr int kInvalid = 7;        // CUBLAS_STATUS_INVALID_VALUE
constexpr int kNotSupported = 15;  // CUBLAS_STATUS_NOT_SUPPORTED

void Require(bool is_right, int status = kInvalid) {
  if (!is_right) throw Status{status};
}

}  // namespace

MatmulProblem::MatmulProblem(const MatmulDescriptor& descriptor, const MatrixLayout& a,
                             const MatrixLayout& b, const MatrixLayout& c, const MatrixLayout& d)
    : descriptor(descriptor), a(a), b(b), c(c), d(d) {
  rows = descriptor.transposes_a ? a.columns : a.rows;
  depth = descriptor.transposes_a ? a.rows : a.columns;
  columns = descriptor.transposes_b ? b.rows : b.columns;
  Require(depth == (descriptor.transposes_b ? b.columns : b.rows));
  Require(d.rows == rows && d.columns == columns && c.rows == rows && c.columns == columns);
  for (const MatrixLayout* layout : {&a, &b, &c, &d}) {
    Require(layout->rows > 0 && layout->columns > 0 && layout->offset >= 0);
    Require(layout->leading >= static_cast<int64_t>(layout->rows));
    Require(layout->batches == d.batches && layout->batches > 0);
  }
  Require(a.type == b.type && c.type == d.type, kNotSupported);
  if (a.type == cuda::kCudaFloat32) {
    Require(d.type == cuda::kCudaFloat32, kNotSupported);
  } else {
    Require(descriptor.compute_type != cuda::kComputeTf32, kNotSupported);
  }
}

uint64_t MatmulProblem::fingerprint() const {
  const uint64_t parts[] = {rows,
                            columns,
                            depth,
                            static_cast<uint64_t>(d.batches),
                            static_cast<uint64_t>(a.type),
                            static_cast<uint64_t>(d.type),
                            static_cast<uint64_t>(descriptor.transposes_a),
                            static_cast<uint64_t>(descriptor.transposes_b),
                            static_cast<uint64_t>(descriptor.compute_type)};
  uint64_t hash = 14695981039346656037u;
  for (const uint64_t part : parts) hash = (hash ^ part) * 1099511628211u;
  return hash;
}

void Compute(const MatmulProblem& problem, const MatmulOperands& operands) {
  const bool is_tf32 = problem.descriptor.compute_type == cuda::kComputeTf32;
  const auto at = [](const auto* address, const MatrixLayout& layout, size_t batch) {
    return static_cast<const char*>(address) +
           batch * static_cast<size_t>(layout.offset) * BytesOf(layout.format());
  };
  const auto matrix_of = [](const std::vector<float>& values, const MatrixLayout& layout,
                            bool is_transposed) {
    const auto leading = static_cast<size_t>(layout.leading);
    return is_transposed ? Matrix{values.data(), leading, 1} : Matrix{values.data(), 1, leading};
  };
  for (size_t batch = 0; batch < static_cast<size_t>(problem.d.batches); batch++) {
    const auto read = [&](const void* address, MatrixLayout layout) {
      const void* from = at(address, layout, batch);
      layout.batches = 1;
      return Read(from, layout.span(), layout.format(), is_tf32);
    };
    const std::vector<float> a = read(operands.a, problem.a);
    const std::vector<float> b = read(operands.b, problem.b);
    const Matrix left = matrix_of(a, problem.a, problem.descriptor.transposes_a != 0);
    const Matrix right = matrix_of(b, problem.b, problem.descriptor.transposes_b != 0);
    // The transposed product, because its rows are contiguous.
    std::vector<float> product(problem.rows * problem.columns);
    Multiply(problem.columns, problem.rows, problem.depth, {right.values, right.column, right.row},
             {left.values, left.column, left.row}, product.data(), false);

    std::vector<float> old(product.size());
    const auto c_leading = static_cast<size_t>(problem.c.leading);
    if (operands.beta != 0) {
      MatrixLayout layout = problem.c;
      layout.batches = 1;
      const auto c = Read(at(operands.c, layout, batch), layout.span(), layout.format(), false);
      for (size_t j = 0; j < problem.columns; j++) {
        for (size_t i = 0; i < problem.rows; i++) old[j * problem.rows + i] = c[j * c_leading + i];
      }
    }
    const Output output = {const_cast<char*>(at(operands.d, problem.d, batch)), problem.d.format(),
                           1.f, 0.f};
    for (size_t j = 0; j < problem.columns; j++) {
      for (size_t i = 0; i < problem.rows; i++) {
        const size_t index = j * problem.rows + i;
        float value = operands.alpha == 0 ? 0.f : operands.alpha * product[index];
        if (operands.beta != 0) value += operands.beta * old[index];
        output.Store(j * static_cast<size_t>(problem.d.leading) + i, value);
      }
    }
  }
}

}  // namespace cuda_double
