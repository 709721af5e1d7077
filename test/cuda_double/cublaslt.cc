// cuBLASLt: handles, descriptors and algorithms. matmul.h computes.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

#include "call.h"
#include "gpu.h"
#include "matmul.h"
#include "report.h"

namespace cuda_double {
namespace {

namespace cuda = twotower::cuda;

constexpr int kNotReady = 1;  // CUBLAS_STATUS_NOT_INITIALIZED
constexpr int kInvalid = 7;   // CUBLAS_STATUS_INVALID_VALUE

struct Handle {
  int device;
};

struct Preference {
  uint64_t workspace_bytes = 0;
  // Of A, B, C and D. cuBLASLt takes these for granted unless it is told of less.
  uint32_t alignments[4] = {256, 256, 256, 256};
};

Handles<Handle>& TheHandles() {
  static auto& handles = *new Handles<Handle>();
  return handles;
}

Handles<MatmulDescriptor>& Descriptors() {
  static auto& descriptors = *new Handles<MatmulDescriptor>();
  return descriptors;
}

Handles<MatrixLayout>& Layouts() {
  static auto& layouts = *new Handles<MatrixLayout>();
  return layouts;
}

Handles<Preference>& Preferences() {
  static auto& preferences = *new Handles<Preference>();
  return preferences;
}

void Require(bool is_right, int status = kInvalid) {
  if (!is_right) throw Status{status};
}

template <typename Object>
Object Find(const Handles<Object>& objects, const void* handle) {
  const auto found = objects.Find(handle);
  Require(found != nullptr);
  return *found;
}

template <typename Object>
void Create(Handles<Object>& objects, void** handle, const Object& object) {
  *handle = objects.Add(std::make_shared<Object>(object));
  TheLibraryCounts().cublas_lt.created++;
}

template <typename Object>
void Destroy(Handles<Object>& objects, const void* handle) {
  Require(objects.Remove(handle) != nullptr);
  TheLibraryCounts().cublas_lt.destroyed++;
}

template <typename Value>
void SetValue(Value& to, const void* value, size_t bytes) {
  Require(value != nullptr && bytes == sizeof(Value));
  std::memcpy(&to, value, sizeof(Value));
}

template <typename Body>
int LtCall(const char* symbol, const Body& body) noexcept {
  return Call(Library::kCublasLt, symbol, body);
}

MatmulProblem ProblemOf(const void* descriptor, const void* a, const void* b, const void* c,
                        const void* d) {
  return {Find(Descriptors(), descriptor), Find(Layouts(), a), Find(Layouts(), b),
          Find(Layouts(), c), Find(Layouts(), d)};
}

// What an algorithm is in the program's memory.
struct Algorithm {
  uint64_t mark;
  uint64_t workspace_bytes;
  uint64_t fingerprint;
  uint32_t alignments[4];
  uint64_t unused[3];
};
static_assert(sizeof(Algorithm) == sizeof(MatmulHeuristic::algorithm));
constexpr uint64_t kMark = 0x616c676f72697468;

constexpr uint64_t kWorkspaceBytes = 1 << 20;

void CheckAlignments(const Algorithm& algorithm, const MatmulOperands& operands) {
  const void* addresses[] = {operands.a, operands.b, operands.c, operands.d};
  for (int i = 0; i < 4; i++) {
    if (reinterpret_cast<uintptr_t>(addresses[i]) % algorithm.alignments[i] == 0) continue;
    std::fprintf(stderr,
                 "CUDA double: operand %c of cublasLtMatmul is not aligned to the %u bytes that its "
                 "algorithm was chosen for\n",
                 "ABCD"[i], algorithm.alignments[i]);
    throw Status{kInvalid};
  }
}

}  // namespace

int cublasLtCreate(void** handle) {
  return LtCall(__func__, [&] {
    try {
      Create(TheHandles(), handle, Handle{CurrentGpu().ordinal});
    } catch (const DriverStatus&) {
      throw Status{kNotReady};
    }
  });
}

int cublasLtDestroy(void* handle) {
  return LtCall(__func__, [&] { Destroy(TheHandles(), handle); });
}

int cublasLtMatmulDescCreate(void** descriptor, int compute_type, int scale_type) {
  return LtCall(__func__, [&] {
    Require(scale_type == cuda::kCudaFloat32);
    Require(compute_type == cuda::kComputeFloat32 || compute_type == cuda::kComputeTf32);
    Create(Descriptors(), descriptor, MatmulDescriptor{compute_type});
  });
}

int cublasLtMatmulDescDestroy(void* descriptor) {
  return LtCall(__func__, [&] { Destroy(Descriptors(), descriptor); });
}

int cublasLtMatmulDescSetAttribute(void* descriptor, int attribute, const void* value,
                                   size_t bytes) {
  return LtCall(__func__, [&] {
    const auto changed = Descriptors().Find(descriptor);
    Require(changed != nullptr);
    Require(attribute == cuda::kMatmulTransA || attribute == cuda::kMatmulTransB);
    int32_t operation;
    SetValue(operation, value, bytes);
    Require(operation == 0 || operation == cuda::kTransposed);
    (attribute == cuda::kMatmulTransA ? changed->transposes_a : changed->transposes_b) = operation;
  });
}

int cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t columns,
                               int64_t leading) {
  return LtCall(__func__, [&] {
    Require(type == cuda::kCudaFloat32 || type == cuda::kCudaBfloat16);
    Create(Layouts(), layout, MatrixLayout{type, rows, columns, leading});
  });
}

int cublasLtMatrixLayoutDestroy(void* layout) {
  return LtCall(__func__, [&] { Destroy(Layouts(), layout); });
}

int cublasLtMatrixLayoutSetAttribute(void* layout, int attribute, const void* value,
                                     size_t bytes) {
  return LtCall(__func__, [&] {
    const auto changed = Layouts().Find(layout);
    Require(changed != nullptr);
    switch (attribute) {
      case cuda::kLayoutBatchCount: return SetValue(changed->batches, value, bytes);
      case cuda::kLayoutBatchOffset: return SetValue(changed->offset, value, bytes);
    }
    throw Status{kInvalid};
  });
}

int cublasLtMatmulPreferenceCreate(void** preference) {
  return LtCall(__func__, [&] { Create(Preferences(), preference, Preference()); });
}

int cublasLtMatmulPreferenceDestroy(void* preference) {
  return LtCall(__func__, [&] { Destroy(Preferences(), preference); });
}

int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value,
                                         size_t bytes) {
  return LtCall(__func__, [&] {
    const auto changed = Preferences().Find(preference);
    Require(changed != nullptr);
    if (attribute == cuda::kPreferenceMaxWorkspaceBytes) {
      return SetValue(changed->workspace_bytes, value, bytes);
    }
    // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES to _D_BYTES.
    Require(attribute >= 5 && attribute <= 8);
    uint32_t& alignment = changed->alignments[attribute - 5];
    SetValue(alignment, value, bytes);
    Require(alignment > 0);
  });
}

int cublasLtMatmulAlgoGetHeuristic(void* handle, void* descriptor, void* a, void* b, void* c,
                                   void* d, void* preference, int requested,
                                   MatmulHeuristic* results, int* found) {
  return LtCall(__func__, [&] {
    Find(TheHandles(), handle);
    const MatmulProblem problem = ProblemOf(descriptor, a, b, c, d);
    const Preference preferred = Find(Preferences(), preference);
    Require(requested > 0 && results != nullptr && found != nullptr);
    Algorithm algorithm = {kMark, std::min(preferred.workspace_bytes, kWorkspaceBytes),
                           problem.fingerprint(), {}, {}};
    std::memcpy(algorithm.alignments, preferred.alignments, sizeof(algorithm.alignments));
    *results = {};
    std::memcpy(results->algorithm, &algorithm, sizeof(algorithm));
    results->workspace_bytes = algorithm.workspace_bytes;
    results->waves = 1;
    *found = 1;
  });
}

int cublasLtMatmul(void* handle, void* descriptor, const void* alpha, const void* a,
                   void* a_layout, const void* b, void* b_layout, const void* beta, const void* c,
                   void* c_layout, void* d, void* d_layout, const void* algorithm, void* workspace,
                   size_t workspace_bytes, void* stream) {
  return LtCall(__func__, [&] {
    const Handle used = Find(TheHandles(), handle);
    const MatmulProblem problem = ProblemOf(descriptor, a_layout, b_layout, c_layout, d_layout);
    Require(alpha != nullptr && beta != nullptr);
    const MatmulOperands operands = {a, b, c, d, *static_cast<const float*>(alpha),
                               *static_cast<const float*>(beta)};
    Gpu& gpu = CurrentGpu();
    const auto target = StreamOf(stream);
    Require(used.device == gpu.ordinal && target->device == gpu.ordinal);

    Algorithm chosen = {kMark, 0, problem.fingerprint(), {1, 1, 1, 1}, {}};
    if (algorithm != nullptr) std::memcpy(&chosen, algorithm, sizeof(chosen));
    Require(chosen.mark == kMark && chosen.fingerprint == problem.fingerprint());
    Require(workspace_bytes >= chosen.workspace_bytes);
    CheckAlignments(chosen, operands);
    CheckAccess(gpu, a, problem.a.span() * BytesOf(problem.a.format()), "A of cublasLtMatmul");
    CheckAccess(gpu, b, problem.b.span() * BytesOf(problem.b.format()), "B of cublasLtMatmul");
    CheckAccess(gpu, d, problem.d.span() * BytesOf(problem.d.format()), "D of cublasLtMatmul");
    if (operands.beta != 0) {
      CheckAccess(gpu, c, problem.c.span() * BytesOf(problem.c.format()), "C of cublasLtMatmul");
    }
    CheckAccess(gpu, workspace, workspace_bytes, "the workspace of cublasLtMatmul");
    target->Enqueue([=] {
      // Whatever else is there is lost, as it would be.
      if (chosen.workspace_bytes > 0) std::memset(workspace, 0xff, chosen.workspace_bytes);
      Compute(problem, operands);
    });
  });
}

}  // namespace cuda_double
