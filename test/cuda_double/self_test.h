// What the files of the self-test share: the libraries, opened as a program opens NVIDIA's.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_SELF_TEST_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_SELF_TEST_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "api.h"

namespace self_test {

using twotower::cuda::Address;

struct Libraries {
  twotower::cuda::Driver driver;
  twotower::cuda::Nvrtc nvrtc;
  twotower::cuda::CublasLt cublas_lt;
  twotower::cuda::Cudnn cudnn;
  twotower::cuda::NvJpeg nvjpeg;
  // The text for NVRTC.
  std::string kernels;
};

extern Libraries libraries;

// Ends the process, which has failed, unless a number is what it should be.
inline void Expect(long long actual, long long expected, const char* what, int line) {
  if (actual == expected) return;
  std::fprintf(stderr, "line %d: %s is %lld, not %lld\n", line, what, actual, expected);
  std::_Exit(1);
}
#define EXPECT(actual, expected) ::self_test::Expect((actual), (expected), #actual, __LINE__)

// A GPU with a stream and the kernels. Its context is current.
struct Gpu {
  explicit Gpu(int ordinal);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  void MakeCurrent() const { EXPECT(libraries.driver.contextSetCurrent(context), 0); }
  Address Allocate(size_t bytes) const;

  template <typename... Parameters>
  int Launch(const char* kernel, unsigned blocks, unsigned threads, Parameters... parameters) const {
    void* function;
    EXPECT(libraries.driver.moduleGetFunction(&function, module, kernel), 0);
    void* list[] = {static_cast<void*>(&parameters)..., nullptr};
    return libraries.driver.launchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, list,
                                         nullptr);
  }

  template <typename Number>
  Address Write(const std::vector<Number>& numbers) const {
    const size_t bytes = sizeof(Number) * numbers.size();
    const Address address = Allocate(bytes);
    EXPECT(libraries.driver.memcpyToDevice(address, numbers.data(), bytes, stream), 0);
    return address;
  }

  template <typename Number>
  std::vector<Number> Read(Address address, size_t count) const {
    std::vector<Number> numbers(count);
    EXPECT(libraries.driver.memcpyToHost(numbers.data(), address, sizeof(Number) * count, stream),
           0);
    EXPECT(libraries.driver.streamSynchronize(stream), 0);
    return numbers;
  }

  int device;
  void* context;
  void* stream;
  void* module;
};

void TestProducts();
void TestConvolutions();
void TestJpegs();

}  // namespace self_test

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_SELF_TEST_H_
