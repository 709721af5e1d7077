// Matrix products by cuBLASLt, whose matrices are column-major: it computes the transposed product of the transposed operands.
// In bf16 the operands are rounded in scratch memory and products are summed in float32.

#include <map>
#include <memory>
#include <stdexcept>
#include <tuple>

#include "../kernels.h"
#include "device.h"
#include "layer_kernels.h"
#include "libraries.h"
#include "operand.h"

namespace twotower {
namespace cuda {
namespace {

// As much as cuBLASLt's fastest algorithms ask for on the GPUs that it knows.
constexpr size_t kWorkspaceBytes = 32 << 20;

// A column-major matrix of `rows` × `columns`, or a batch of them of which one may be repeated.
class Layout {
 public:
  Layout(int type, int64_t rows, int64_t columns, int64_t batch, int64_t own_batch) {
    const CublasLt& lt = TheCublasLt();
    CheckCublasLt(lt.layoutCreate(&handle_, type, rows, columns, rows),
                  "cublasLtMatrixLayoutCreate");
    const auto count = static_cast<int32_t>(batch);
    const int64_t offset = own_batch == 1 ? 0 : rows * columns;
    Set(kLayoutBatchCount, count);
    Set(kLayoutBatchOffset, offset);
  }
  ~Layout() { TheCublasLt().layoutDestroy(handle_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  operator void*() const { return handle_; }

 private:
  template <typename Value>
  void Set(int attribute, Value value) {
    CheckCublasLt(TheCublasLt().layoutSet(handle_, attribute, &value, sizeof(value)),
                  "cublasLtMatrixLayoutSetAttribute");
  }

  void* handle_ = nullptr;
};

int ComputeType(Precision precision) {
  return precision == Precision::kTf32 ? kComputeTf32 : kComputeFloat32;
}

int OperandType(Precision precision) {
  return precision == Precision::kBf16 ? kCudaBfloat16 : kCudaFloat32;
}

// A product with cuBLASLt's descriptors and the algorithm that its heuristic puts first.
class PlannedProduct {
 public:
  PlannedProduct(const Product& p, Precision precision)
      : a_(OperandType(precision), p.transpose_a ? p.m : p.k, p.transpose_a ? p.k : p.m, p.Batch(),
           p.a_batch),
        b_(OperandType(precision), p.transpose_b ? p.k : p.n, p.transpose_b ? p.n : p.k, p.Batch(),
           p.b_batch),
        out_(kCudaFloat32, p.n, p.m, p.Batch(), p.Batch()) {
    const CublasLt& lt = TheCublasLt();
    CheckCublasLt(lt.matmulDescriptorCreate(&descriptor_, ComputeType(precision), kCudaFloat32),
                  "cublasLtMatmulDescCreate");
    // The operands change places.
    if (p.transpose_b) Transpose(kMatmulTransA);
    if (p.transpose_a) Transpose(kMatmulTransB);
    Choose();
  }
  ~PlannedProduct() { TheCublasLt().matmulDescriptorDestroy(descriptor_); }
  PlannedProduct(const PlannedProduct&) = delete;
  PlannedProduct& operator=(const PlannedProduct&) = delete;

  void Compute(const void* a, const void* b, float* out) const {
    constexpr float kOne = 1;
    constexpr float kZero = 0;
    Device& device = Device::OfThread();
    const Scratch workspace(chosen_.workspace_bytes);
    CheckCublasLt(TheCublasLt().matmul(device.cublas_lt(), descriptor_, &kOne, b, b_, a, a_, &kZero,
                                       out, out_, out, out_, chosen_.algorithm,
                                       workspace.As<void>(), chosen_.workspace_bytes,
                                       device.stream()),
                  "cublasLtMatmul");
  }

 private:
  void Transpose(int attribute) {
    CheckCublasLt(TheCublasLt().matmulDescriptorSet(descriptor_, attribute, &kTransposed,
                                                    sizeof(kTransposed)),
                  "cublasLtMatmulDescSetAttribute");
  }

  void Choose() {
    const CublasLt& lt = TheCublasLt();
    void* preference = nullptr;
    CheckCublasLt(lt.preferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    int found = 0;
    int status = lt.preferenceSet(preference, kPreferenceMaxWorkspaceBytes, &kWorkspaceBytes,
                                  sizeof(kWorkspaceBytes));
    if (status == 0) {
      status = lt.heuristic(Device::OfThread().cublas_lt(), descriptor_, b_, a_, out_, out_,
                            preference, 1, &chosen_, &found);
    }
    lt.preferenceDestroy(preference);
    CheckCublasLt(status, "cublasLtMatmulAlgoGetHeuristic");
    if (found == 0) throw std::runtime_error("cuBLASLt has no algorithm for this product");
  }

  Layout a_, b_, out_;
  void* descriptor_ = nullptr;
  MatmulHeuristic chosen_;
};

const PlannedProduct& Planned(const Product& p, Precision precision) {
  using Key = std::tuple<Integers, bool, bool, Precision>;
  static thread_local std::map<Key, std::unique_ptr<PlannedProduct>> planned;
  std::unique_ptr<PlannedProduct>& found =
      planned[{{p.a_batch, p.b_batch, p.m, p.k, p.n}, p.transpose_a, p.transpose_b, precision}];
  if (!found) found = std::make_unique<PlannedProduct>(p, precision);
  return *found;
}

void Multiply(const Product& p, const float* a, const float* b, float* out, Precision precision) {
  const Operand first(a, ProductOf({p.a_batch, p.m, p.k}), precision);
  const Operand second(b, ProductOf({p.b_batch, p.k, p.n}), precision);
  Planned(p, precision).Compute(first, second, out);
}

}  // namespace
}  // namespace cuda

void MatMul(const Product& p, const float* a, const float* b, const float* bias, float* out,
            Activation activation, Precision precision) {
  const size_t length = ProductOf({p.Batch(), p.m, p.n});
  if (length == 0) return;
  if (p.k == 0) {
    Fill({out, length, Type::kFloat32}, 0);
  } else {
    cuda::Multiply(p, a, b, out, precision);
  }
  const bool relu = activation == Activation::kRelu;
  if (bias != nullptr || relu) cuda::AddBias(length / p.n, p.n, bias, out, relu);
}

}  // namespace twotower
