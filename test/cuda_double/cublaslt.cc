// cuBLASLt: matrix products, column-major, by their definition.

#include <algorithm>
#include <cstring>

#include "call.h"
#include "gpu.h"
#include "operands.h"

namespace cuda_double {
namespace {

using namespace twotower::cuda;

constexpr int kInvalidArgument = 7;  // CUBLAS_STATUS_INVALID_VALUE
// What its one algorithm wants.
constexpr size_t kAlgorithmWorkspace = 4096;

struct Handle {
  int device;
};

struct Descriptor {
  int compute_type;
  int trans_a = 0;
  int trans_b = 0;
};

struct Layout {
  int type;
  size_t rows, columns, leading;
  int32_t batch = 1;
  int64_t offset = 0;

  bool is_bf16() const { return type == kCudaBfloat16; }
  size_t span() const { return columns == 0 ? 0 : leading * (columns - 1) + rows; }
  // Elements from the first to the last.
  size_t length() const { return static_cast<size_t>(offset) * (batch - 1) + span(); }
};

struct Preference {
  size_t workspace = 0;
};

template <typename Object>
Handles<Object>& All() {
  static auto& all = *new Handles<Object>();
  return all;
}

template <typename Object>
std::shared_ptr<Object> Find(const void* handle) {
  auto found = All<Object>().Find(handle);
  if (found == nullptr) throw Status{kInvalidArgument};
  return found;
}

template <typename Object>
void Remove(const void* handle) {
  if (All<Object>().Remove(handle) == nullptr) throw Status{kInvalidArgument};
}

template <typename Body>
int CallLt(const char* symbol, const Body& body) {
  return Call(Library::kCublasLt, symbol, body);
}

template <typename Value>
void Assign(Value& to, const void* value, size_t bytes) {
  if (bytes != sizeof(Value)) throw Status{kInvalidArgument};
  std::memcpy(&to, value, bytes);
}

struct Sizes {
  size_t m, n, k;
};

Sizes SizesOf(const Descriptor& descriptor, const Layout& a, const Layout& b, const Layout& d) {
  const size_t m = descriptor.trans_a ? a.columns : a.rows;
  const size_t k = descriptor.trans_a ? a.rows : a.columns;
  const size_t n = descriptor.trans_b ? b.rows : b.columns;
  const size_t b_k = descriptor.trans_b ? b.columns : b.rows;
  const bool fit = k == b_k && d.rows == m && d.columns == n && a.batch == d.batch &&
                   b.batch == d.batch && a.type == b.type && d.type == kCudaFloat32;
  if (!fit || m == 0 || n == 0 || k == 0) throw Status{kInvalidArgument};
  return {m, n, k};
}

// d = op(a) · op(b) of one of a batch. `a` and `b` are copies, so that a is [m, k] and b is [k, n].
std::vector<float> Multiply(const Sizes& s, const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> d(s.m * s.n);
  for (size_t j = 0; j < s.n; j++) {
    float* column = d.data() + j * s.m;
    for (size_t k = 0; k < s.k; k++) {
      const float factor = b[j * s.k + k];
      const float* from = a.data() + k * s.m;
      for (size_t i = 0; i < s.m; i++) column[i] += from[i] * factor;
    }
  }
  return d;
}

// The matrix, transposed if said, without gaps between its columns.
std::vector<float> Packed(const float* from, const Layout& layout, bool transposed) {
  std::vector<float> packed(layout.rows * layout.columns);
  for (size_t column = 0; column < layout.columns; column++) {
    for (size_t row = 0; row < layout.rows; row++) {
      const size_t at = transposed ? row * layout.columns + column : column * layout.rows + row;
      packed[at] = from[column * layout.leading + row];
    }
  }
  return packed;
}

}  // namespace

int cublasLtCreate(void** handle) {
  return CallLt("cublasLtCreate", [&] {
    *handle = All<Handle>().Add(std::make_shared<Handle>(Handle{CurrentGpu().ordinal}));
    CountOf("cublasLtHandle").created++;
  });
}

int cublasLtDestroy(void* handle) {
  return CallLt("cublasLtDestroy", [&] {
    Remove<Handle>(handle);
    CountOf("cublasLtHandle").destroyed++;
  });
}

int cublasLtMatmulDescCreate(void** descriptor, int compute_type, int scale_type) {
  return CallLt("cublasLtMatmulDescCreate", [&] {
    const bool is_known = compute_type == kComputeFloat32 || compute_type == kComputeTf32;
    if (!is_known || scale_type != kCudaFloat32) throw Status{kInvalidArgument};
    *descriptor = All<Descriptor>().Add(std::make_shared<Descriptor>(Descriptor{compute_type}));
  });
}

int cublasLtMatmulDescDestroy(void* descriptor) {
  return CallLt("cublasLtMatmulDescDestroy", [&] { Remove<Descriptor>(descriptor); });
}

int cublasLtMatmulDescSetAttribute(void* handle, int attribute, const void* value, size_t bytes) {
  return CallLt("cublasLtMatmulDescSetAttribute", [&] {
    const auto descriptor = Find<Descriptor>(handle);
    if (attribute == kMatmulTransA) {
      Assign(descriptor->trans_a, value, bytes);
    } else if (attribute == kMatmulTransB) {
      Assign(descriptor->trans_b, value, bytes);
    } else {
      throw Status{kInvalidArgument};
    }
  });
}

int cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t columns,
                               int64_t leading) {
  return CallLt("cublasLtMatrixLayoutCreate", [&] {
    const bool is_known = type == kCudaFloat32 || type == kCudaBfloat16;
    if (!is_known || leading < static_cast<int64_t>(rows)) throw Status{kInvalidArgument};
    const Layout made{type, rows, columns, static_cast<size_t>(leading)};
    *layout = All<Layout>().Add(std::make_shared<Layout>(made));
  });
}

int cublasLtMatrixLayoutDestroy(void* layout) {
  return CallLt("cublasLtMatrixLayoutDestroy", [&] { Remove<Layout>(layout); });
}

int cublasLtMatrixLayoutSetAttribute(void* handle, int attribute, const void* value, size_t bytes) {
  return CallLt("cublasLtMatrixLayoutSetAttribute", [&] {
    const auto layout = Find<Layout>(handle);
    if (attribute == kLayoutBatchCount) {
      Assign(layout->batch, value, bytes);
    } else if (attribute == kLayoutBatchOffset) {
      Assign(layout->offset, value, bytes);
    } else {
      throw Status{kInvalidArgument};
    }
  });
}

int cublasLtMatmulPreferenceCreate(void** preference) {
  return CallLt("cublasLtMatmulPreferenceCreate",
                [&] { *preference = All<Preference>().Add(std::make_shared<Preference>()); });
}

int cublasLtMatmulPreferenceDestroy(void* preference) {
  return CallLt("cublasLtMatmulPreferenceDestroy", [&] { Remove<Preference>(preference); });
}

int cublasLtMatmulPreferenceSetAttribute(void* handle, int attribute, const void* value,
                                         size_t bytes) {
  return CallLt("cublasLtMatmulPreferenceSetAttribute", [&] {
    if (attribute != kPreferenceMaxWorkspaceBytes) throw Status{kInvalidArgument};
    Assign(Find<Preference>(handle)->workspace, value, bytes);
  });
}

int cublasLtMatmulAlgoGetHeuristic(void* handle, void* descriptor, void* a, void* b, void* c,
                                   void* d, void* preference, int requested,
                                   MatmulHeuristic* results, int* found) {
  return CallLt("cublasLtMatmulAlgoGetHeuristic", [&] {
    Find<Handle>(handle);
    Find<Layout>(c);
    SizesOf(*Find<Descriptor>(descriptor), *Find<Layout>(a), *Find<Layout>(b), *Find<Layout>(d));
    if (requested < 1) throw Status{kInvalidArgument};
    results[0] = {};
    results[0].algorithm[0] = kAlgorithmWorkspace;
    results[0].workspace_bytes = kAlgorithmWorkspace;
    *found = Find<Preference>(preference)->workspace >= kAlgorithmWorkspace ? 1 : 0;
  });
}

int cublasLtMatmul(void* handle, void* descriptor, const void* alpha, const void* a, void* a_layout,
                   const void* b, void* b_layout, const void* beta, const void* c, void*, void* d,
                   void* d_layout, const void* algorithm, void* workspace, size_t workspace_bytes,
                   void* stream) {
  return CallLt("cublasLtMatmul", [&] {
    Gpu& gpu = GpuOf(Find<Handle>(handle)->device);
    const Layout la = *Find<Layout>(a_layout);
    const Layout lb = *Find<Layout>(b_layout);
    const Layout ld = *Find<Layout>(d_layout);
    const Descriptor how = *Find<Descriptor>(descriptor);
    const Sizes sizes = SizesOf(how, la, lb, ld);
    const bool fits = *static_cast<const uint64_t*>(algorithm) <= workspace_bytes;
    if (!fits || c != d || ld.leading != ld.rows) throw Status{kInvalidArgument};
    CheckAccess(gpu, workspace, workspace_bytes, "the workspace of a product");
    CheckAccess(gpu, a, BytesOf(la.length(), la.is_bf16()), "an operand of a product");
    CheckAccess(gpu, b, BytesOf(lb.length(), lb.is_bf16()), "an operand of a product");
    CheckAccess(gpu, d, BytesOf(ld.length(), false), "the result of a product");
    const float by = *static_cast<const float*>(alpha);
    const float kept = *static_cast<const float*>(beta);
    StreamOf(stream)->Enqueue([=] {
      std::memset(workspace, 0xff, workspace_bytes);
      const std::vector<float> all_a = Load(a, la.length(), la.is_bf16());
      const std::vector<float> all_b = Load(b, lb.length(), lb.is_bf16());
      for (int32_t i = 0; i < ld.batch; i++) {
        const auto part = Multiply(sizes, Packed(all_a.data() + i * la.offset, la, how.trans_a),
                                   Packed(all_b.data() + i * lb.offset, lb, how.trans_b));
        Store(part, by, kept, false, static_cast<float*>(d) + i * ld.offset);
      }
    });
  });
}

}  // namespace cuda_double
