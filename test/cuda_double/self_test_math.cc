// Products and convolutions of small whole numbers, of which every format holds the results exactly.

#include <cstdint>
#include <cstring>
#include <vector>

#include "self_test.h"

namespace self_test {
namespace {

namespace cuda = twotower::cuda;

const cuda::CublasLt& lt = libraries.cublas_lt;
const cuda::Cudnn& dnn = libraries.cudnn;

// -2 to 2, always the same.
std::vector<float> Numbers(size_t count, unsigned seed) {
  std::vector<float> numbers(count);
  for (float& number : numbers) {
    seed = seed * 1664525 + 1013904223;
    number = static_cast<float>(static_cast<int>(seed >> 16) % 5 - 2);
  }
  return numbers;
}

std::vector<uint16_t> ToBfloat16(const std::vector<float>& numbers) {
  std::vector<uint16_t> shortened;
  for (const float& number : numbers) {
    uint32_t bits;
    std::memcpy(&bits, &number, 4);
    shortened.push_back(static_cast<uint16_t>(bits >> 16));
  }
  return shortened;
}

void ExpectNumbers(const std::vector<float>& actual, const std::vector<float>& expected) {
  EXPECT(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); i++) {
    EXPECT(static_cast<long long>(actual[i]), static_cast<long long>(expected[i]));
    EXPECT(actual[i] == expected[i], true);
  }
}

constexpr size_t kRows = 21, kColumns = 6, kDepth = 35, kBatches = 2;

void SetOperation(void* descriptor, int attribute, bool is_transposed) {
  const int32_t operation = is_transposed ? cuda::kTransposed : 0;
  EXPECT(lt.matmulDescriptorSet(descriptor, attribute, &operation, sizeof(operation)), 0);
}

void* LayoutOf(int type, size_t rows, size_t columns) {
  void* layout;
  const auto leading = static_cast<int64_t>(rows);
  EXPECT(lt.layoutCreate(&layout, type, rows, columns, leading), 0);
  const int32_t batches = kBatches;
  const int64_t offset = leading * static_cast<int64_t>(columns);
  EXPECT(lt.layoutSet(layout, cuda::kLayoutBatchCount, &batches, sizeof(batches)), 0);
  EXPECT(lt.layoutSet(layout, cuda::kLayoutBatchOffset, &offset, sizeof(offset)), 0);
  return layout;
}

void TestProduct(const Gpu& gpu, void* handle, bool transposes_a, bool transposes_b,
                 bool is_bfloat) {
  const auto a = Numbers(kBatches * kRows * kDepth, 1);
  const auto b = Numbers(kBatches * kDepth * kColumns, 2);
  const auto c = Numbers(kBatches * kRows * kColumns, 3);
  std::vector<float> expected;
  for (size_t batch = 0; batch < kBatches; batch++) {
    for (size_t j = 0; j < kColumns; j++) {
      for (size_t i = 0; i < kRows; i++) {
        float sum = 0;
        for (size_t p = 0; p < kDepth; p++) {
          sum += a[batch * kRows * kDepth + (transposes_a ? i * kDepth + p : p * kRows + i)] *
                 b[batch * kDepth * kColumns + (transposes_b ? p * kColumns + j : j * kDepth + p)];
        }
        expected.push_back(2 * sum - c[expected.size()]);
      }
    }
  }
  void* descriptor;
  EXPECT(lt.matmulDescriptorCreate(&descriptor, cuda::kComputeFloat32, cuda::kCudaFloat32), 0);
  SetOperation(descriptor, cuda::kMatmulTransA, transposes_a);
  SetOperation(descriptor, cuda::kMatmulTransB, transposes_b);
  const int type = is_bfloat ? cuda::kCudaBfloat16 : cuda::kCudaFloat32;
  void* a_layout = LayoutOf(type, transposes_a ? kDepth : kRows, transposes_a ? kRows : kDepth);
  void* b_layout =
      LayoutOf(type, transposes_b ? kColumns : kDepth, transposes_b ? kDepth : kColumns);
  void* d_layout = LayoutOf(cuda::kCudaFloat32, kRows, kColumns);
  const Address a_at = is_bfloat ? gpu.Write(ToBfloat16(a)) : gpu.Write(a);
  const Address b_at = is_bfloat ? gpu.Write(ToBfloat16(b)) : gpu.Write(b);
  const Address d_at = gpu.Write(c);

  void* preference;
  EXPECT(lt.preferenceCreate(&preference), 0);
  const size_t most = 4096;
  EXPECT(lt.preferenceSet(preference, cuda::kPreferenceMaxWorkspaceBytes, &most, sizeof(most)), 0);
  EXPECT(lt.preferenceSet(preference, 99, &most, sizeof(most)), 7);
  cuda::MatmulHeuristic chosen;
  int found = 0;
  EXPECT(lt.heuristic(handle, descriptor, a_layout, b_layout, d_layout, d_layout, preference, 1,
                      &chosen, &found), 0);
  EXPECT(found, 1);
  EXPECT(chosen.workspace_bytes > 0 && chosen.workspace_bytes <= most, true);
  const Address workspace = gpu.Allocate(chosen.workspace_bytes);
  const float alpha = 2, beta = -1;
  const auto multiply = [&](const void* left_layout, size_t workspace_bytes) {
    return lt.matmul(handle, descriptor, &alpha, reinterpret_cast<void*>(a_at),
                     const_cast<void*>(left_layout), reinterpret_cast<void*>(b_at), b_layout, &beta,
                     reinterpret_cast<void*>(d_at), d_layout, reinterpret_cast<void*>(d_at),
                     d_layout, chosen.algorithm, reinterpret_cast<void*>(workspace),
                     workspace_bytes, gpu.stream);
  };
  EXPECT(multiply(a_layout, chosen.workspace_bytes - 1), 7);
  EXPECT(multiply(d_layout, chosen.workspace_bytes), 7);
  EXPECT(multiply(a_layout, chosen.workspace_bytes), 0);
  ExpectNumbers(gpu.Read<float>(d_at, expected.size()), expected);

  for (const Address address : {a_at, b_at, d_at, workspace}) {
    EXPECT(libraries.driver.memFree(address), 0);
  }
  for (void* layout : {a_layout, b_layout, d_layout}) EXPECT(lt.layoutDestroy(layout), 0);
  EXPECT(lt.preferenceDestroy(preference), 0);
  EXPECT(lt.matmulDescriptorDestroy(descriptor), 0);
}

}  // namespace

void TestProducts() {
  const Gpu gpu(0);
  void* handle;
  EXPECT(lt.create(&handle), 0);
  for (const bool transposes_a : {false, true}) {
    for (const bool transposes_b : {false, true}) {
      for (const bool is_bfloat : {false, true}) {
        TestProduct(gpu, handle, transposes_a, transposes_b, is_bfloat);
      }
    }
  }
  EXPECT(lt.destroy(handle), 0);
}

namespace {

constexpr int kBatch = 2, kInHeight = 7, kInWidth = 6, kInChannels = 3, kOutChannels = 5;
constexpr int kFilterHeight = 3, kFilterWidth = 2, kPad = 1, kStride = 2;
constexpr int kOutHeight = (kInHeight + 2 * kPad - kFilterHeight) / kStride + 1;
constexpr int kOutWidth = (kInWidth + 2 * kPad - kFilterWidth) / kStride + 1;
constexpr size_t kInputs = kBatch * kInHeight * kInWidth * kInChannels;
constexpr size_t kOutputs = kBatch * kOutHeight * kOutWidth * kOutChannels;
constexpr size_t kFilters = kOutChannels * kFilterHeight * kFilterWidth * kInChannels;

// Calls `visit(input, filter, output)` for the indices of each product.
template <typename Visit>
void ForEachProduct(const Visit& visit) {
  for (int output = 0; output < static_cast<int>(kOutputs); output++) {
    const int k = output % kOutChannels, q = output / kOutChannels % kOutWidth;
    const int p = output / kOutChannels / kOutWidth % kOutHeight;
    const int image = output / kOutChannels / kOutWidth / kOutHeight;
    for (int r = 0; r < kFilterHeight; r++) {
      for (int s = 0; s < kFilterWidth; s++) {
        const int y = p * kStride + r - kPad, x = q * kStride + s - kPad;
        if (y < 0 || y >= kInHeight || x < 0 || x >= kInWidth) continue;
        for (int c = 0; c < kInChannels; c++) {
          visit(((image * kInHeight + y) * kInWidth + x) * kInChannels + c,
                ((k * kFilterHeight + r) * kFilterWidth + s) * kInChannels + c, output);
        }
      }
    }
  }
}

struct Descriptors {
  void *x, *y, *filter, *convolution;

  Descriptors() {
    EXPECT(dnn.tensorCreate(&x), 0);
    EXPECT(dnn.tensorCreate(&y), 0);
    EXPECT(dnn.filterCreate(&filter), 0);
    EXPECT(dnn.convolutionCreate(&convolution), 0);
    const int type = cuda::kDnnFloat32;
    EXPECT(dnn.tensorSet(x, cuda::kNhwc, type, kBatch, kInChannels, kInHeight, kInWidth), 0);
    EXPECT(dnn.tensorSet(y, cuda::kNhwc, type, kBatch, kOutChannels, kOutHeight, kOutWidth), 0);
    EXPECT(dnn.filterSet(filter, type, cuda::kNhwc, kOutChannels, kInChannels, kFilterHeight,
                         kFilterWidth), 0);
    EXPECT(dnn.convolutionSet(convolution, kPad, kPad, kStride, kStride, 1, 1,
                              cuda::kCrossCorrelation, type), 0);
    EXPECT(dnn.convolutionSetMath(convolution, cuda::kFmaMath), 0);
  }

  ~Descriptors() {
    EXPECT(dnn.tensorDestroy(x), 0);
    EXPECT(dnn.tensorDestroy(y), 0);
    EXPECT(dnn.filterDestroy(filter), 0);
    EXPECT(dnn.convolutionDestroy(convolution), 0);
  }
};

// The place of the first algorithm that a program may use: it succeeds and is deterministic.
cuda::ConvolutionPerformance FirstUsable(const cuda::ConvolutionPerformance* results, int found) {
  for (int i = 0; i < found; i++) {
    if (results[i].status == 0 && results[i].determinism == cuda::kDeterministic) {
      // Those before it must not be used.
      EXPECT(i > 0, true);
      EXPECT(results[i].workspace_bytes > 0, true);
      return results[i];
    }
  }
  EXPECT(found, -1);
  return {};
}

}  // namespace

void TestConvolutions() {
  const Gpu gpu(0);
  const Descriptors d;
  void* handle;
  EXPECT(dnn.create(&handle), 0);
  EXPECT(dnn.setStream(handle, gpu.stream), 0);
  const auto x = Numbers(kInputs, 4), filter = Numbers(kFilters, 5), dy = Numbers(kOutputs, 6);
  std::vector<float> y(kOutputs), dx(kInputs), d_filter(kFilters);
  ForEachProduct([&](int input, int weight, int output) {
    y[output] += x[input] * filter[weight];
    dx[input] += dy[output] * filter[weight];
    d_filter[weight] += dy[output] * x[input];
  });
  const auto on_gpu = [&](const std::vector<float>& numbers) {
    return reinterpret_cast<void*>(gpu.Write(numbers));
  };
  void *x_at = on_gpu(x), *filter_at = on_gpu(filter), *dy_at = on_gpu(dy);
  // For what beta is 0 for: the memory is NaN.
  void* out = reinterpret_cast<void*>(gpu.Allocate(4 * kInputs + 4 * kOutputs + 4 * kFilters));
  void* workspace = reinterpret_cast<void*>(gpu.Allocate(1 << 20));
  const float one = 1, zero = 0;
  cuda::ConvolutionPerformance results[8];
  int found;

  EXPECT(dnn.forwardAlgorithms(handle, d.x, d.filter, d.convolution, d.y, 8, &found, results), 0);
  auto chosen = FirstUsable(results, found);
  const auto forward = [&](int algorithm, size_t bytes, void* y_descriptor) {
    return dnn.forward(handle, &one, d.x, x_at, d.filter, filter_at, d.convolution, algorithm,
                       workspace, bytes, &zero, y_descriptor, out);
  };
  EXPECT(forward(results[0].algorithm, 1 << 20, d.y), 3000);
  EXPECT(forward(chosen.algorithm, chosen.workspace_bytes - 1, d.y), 2000);
  // The output has another shape than the input.
  EXPECT(forward(chosen.algorithm, chosen.workspace_bytes, d.x), 2000);
  EXPECT(forward(chosen.algorithm, chosen.workspace_bytes, d.y), 0);
  ExpectNumbers(gpu.Read<float>(reinterpret_cast<Address>(out), kOutputs), y);

  EXPECT(dnn.inputAlgorithms(handle, d.filter, d.y, d.convolution, d.x, 8, &found, results), 0);
  chosen = FirstUsable(results, found);
  EXPECT(dnn.backwardInput(handle, &one, d.filter, filter_at, d.y, dy_at, d.convolution,
                           chosen.algorithm, workspace, chosen.workspace_bytes, &zero, d.x, out),
         0);
  ExpectNumbers(gpu.Read<float>(reinterpret_cast<Address>(out), kInputs), dx);

  EXPECT(dnn.filterAlgorithms(handle, d.x, d.y, d.convolution, d.filter, 8, &found, results), 0);
  chosen = FirstUsable(results, found);
  const auto backward_filter = [&](const float& beta) {
    EXPECT(dnn.backwardFilter(handle, &one, d.x, x_at, d.y, dy_at, d.convolution, chosen.algorithm,
                              workspace, chosen.workspace_bytes, &beta, d.filter, out), 0);
    return gpu.Read<float>(reinterpret_cast<Address>(out), kFilters);
  };
  ExpectNumbers(backward_filter(zero), d_filter);
  for (float& sum : d_filter) sum *= 2;
  ExpectNumbers(backward_filter(one), d_filter);
  EXPECT(dnn.destroy(handle), 0);
}

}  // namespace self_test
