// `self_test FOLDER NAME`: one test of the double in this folder. It calls the libraries as the addon does.

#include "self_test.h"

#include <dlfcn.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

namespace self_test {

Libraries libraries;

namespace {

const twotower::cuda::Driver& driver = libraries.driver;

// Long enough for whoever does not wait to be early, on a slow machine too.
constexpr unsigned long long kSlow = 200'000'000;

template <typename Function>
void Find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  if (function != nullptr) return;
  std::fprintf(stderr, "%s is missing\n", symbol);
  std::_Exit(1);
}

void* Open(const std::string& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  std::fprintf(stderr, "%s\n", dlerror());
  std::_Exit(1);
}

void OpenAll(const std::string& folder) {
  void* library = Open(folder + "/libcuda.so.1");
#define FIND_DRIVER(name, symbol, parameters) Find(library, #symbol, libraries.driver.name);
  TWOTOWER_DRIVER(FIND_DRIVER)
  library = Open(folder + "/libnvrtc.so.13");
#define FIND_NVRTC(name, symbol, parameters) Find(library, #symbol, libraries.nvrtc.name);
  TWOTOWER_NVRTC(FIND_NVRTC)
  library = Open(folder + "/libcublasLt.so.13");
#define FIND_CUBLASLT(name, symbol, parameters) Find(library, #symbol, libraries.cublas_lt.name);
  TWOTOWER_CUBLASLT(FIND_CUBLASLT)
  library = Open(folder + "/libcudnn.so.9");
#define FIND_CUDNN(name, symbol, parameters) Find(library, #symbol, libraries.cudnn.name);
  TWOTOWER_CUDNN(FIND_CUDNN)
  library = Open(folder + "/libnvjpeg.so.13");
#define FIND_NVJPEG(name, symbol, parameters) Find(library, #symbol, libraries.nvjpeg.name);
  TWOTOWER_NVJPEG(FIND_NVJPEG)
  std::ostringstream text;
  text << std::ifstream(folder + "/kernels.cu").rdbuf();
  libraries.kernels = text.str();
}

// The machine code, or the status and the log.
std::string Compile(const std::string& source, const char* option, int* status, std::string* log) {
  const auto& nvrtc = libraries.nvrtc;
  void* program;
  EXPECT(nvrtc.createProgram(&program, source.c_str(), "kernels.cu", 0, nullptr, nullptr), 0);
  *status = nvrtc.compileProgram(program, 1, &option);
  size_t bytes;
  EXPECT(nvrtc.getLogSize(program, &bytes), 0);
  log->resize(bytes);
  EXPECT(nvrtc.getLog(program, &(*log)[0]), 0);
  std::string cubin;
  EXPECT(nvrtc.getCubinSize(program, &bytes), 0);
  cubin.resize(bytes);
  if (*status == 0) EXPECT(nvrtc.getCubin(program, &cubin[0]), 0);
  EXPECT(nvrtc.destroyProgram(&program), 0);
  return cubin;
}

}  // namespace

Gpu::Gpu(int ordinal) {
  EXPECT(driver.init(0), 0);
  EXPECT(driver.deviceGet(&device, ordinal), 0);
  EXPECT(driver.primaryContextRetain(&context, device), 0);
  MakeCurrent();
  EXPECT(driver.streamCreate(&stream, twotower::cuda::kStreamNonBlocking), 0);
  int status;
  std::string log;
  const std::string cubin = Compile(libraries.kernels, "--gpu-architecture=sm_90", &status, &log);
  EXPECT(status, 0);
  EXPECT(driver.moduleLoadData(&module, cubin.data()), 0);
}

Gpu::~Gpu() {
  MakeCurrent();
  EXPECT(driver.moduleUnload(module), 0);
  EXPECT(driver.streamDestroy(stream), 0);
  EXPECT(driver.primaryContextRelease(device), 0);
}

Address Gpu::Allocate(size_t bytes) const {
  Address address;
  EXPECT(driver.memAlloc(&address, bytes), 0);
  return address;
}

namespace {

void TestStreams() {
  Gpu gpu(0);
  unsigned zero = 0, early = 77, late = 77;
  const Address number = gpu.Allocate(4);
  EXPECT(driver.memcpyToDevice(number, &zero, 4, gpu.stream), 0);
  // The bytes were taken at the call.
  zero = 1;
  EXPECT(gpu.Launch("SelfTestSlowAdd", 1, 1, number, 5u, kSlow), 0);
  EXPECT(driver.memcpyToHost(&late, number, 4, gpu.stream), 0);
  std::memcpy(&early, &late, 4);
  // Nobody has waited for the copy.
  EXPECT(early, 77);
  EXPECT(driver.streamSynchronize(gpu.stream), 0);
  EXPECT(late, 5);

  // Memory is freed when the work on it is done, also that of a stream which was destroyed.
  void* other;
  EXPECT(driver.streamCreate(&other, 0), 0);
  std::swap(other, gpu.stream);
  EXPECT(gpu.Launch("SelfTestSlowAdd", 1, 1, number, 2u, kSlow), 0);
  EXPECT(driver.memcpyToHost(&late, number, 4, gpu.stream), 0);
  EXPECT(driver.streamDestroy(gpu.stream), 0);
  gpu.stream = other;
  EXPECT(driver.memFree(number), 0);
  EXPECT(late, 7);
}

void TestEvents() {
  Gpu first(0);
  const Address number = first.Write<unsigned>({10});
  void* event;
  EXPECT(driver.eventCreate(&event, twotower::cuda::kEventDisableTiming), 0);
  Gpu second(1);
  const Address copy = second.Allocate(4);
  // An event that was never recorded is not waited for.
  EXPECT(driver.streamWaitEvent(second.stream, event, 0), 0);
  EXPECT(driver.streamSynchronize(second.stream), 0);
  EXPECT(first.Launch("SelfTestSlowAdd", 1, 1, number, 1u, kSlow), 0);
  EXPECT(driver.eventRecord(event, first.stream), 0);
  EXPECT(driver.streamWaitEvent(second.stream, event, 0), 0);
  EXPECT(driver.memcpyPeer(copy, second.context, number, first.context, 4, second.stream), 0);
  EXPECT(second.Read<unsigned>(copy, 1)[0], 11);

  // A wait is for the latest record at its time, whatever is recorded later.
  unsigned late = 77;
  EXPECT(driver.eventRecord(event, first.stream), 0);
  EXPECT(driver.streamWaitEvent(second.stream, event, 0), 0);
  EXPECT(first.Launch("SelfTestSlowAdd", 1, 1, number, 1u, kSlow), 0);
  EXPECT(driver.memcpyToHost(&late, number, 4, first.stream), 0);
  EXPECT(driver.eventRecord(event, first.stream), 0);
  EXPECT(driver.streamSynchronize(second.stream), 0);
  EXPECT(late, 77);
  // It is waited for even if the event is destroyed.
  EXPECT(driver.streamWaitEvent(second.stream, event, 0), 0);
  EXPECT(driver.eventDestroy(event), 0);
  EXPECT(driver.streamSynchronize(second.stream), 0);
  EXPECT(late, 12);
  EXPECT(driver.eventRecord(event, first.stream), 400);
  EXPECT(driver.memFree(copy), 0);
  EXPECT(driver.memFree(number), 0);
}

void TestElapsedTime() {
  Gpu gpu(0);
  const Address number = gpu.Write<unsigned>({10});
  void* start;
  void* end;
  void* untimed;
  EXPECT(driver.eventCreate(&start, 0), 0);
  EXPECT(driver.eventCreate(&end, 0), 0);
  EXPECT(driver.eventCreate(&untimed, twotower::cuda::kEventDisableTiming), 0);
  float milliseconds = -1;
  // Neither was recorded.
  EXPECT(driver.eventElapsedTime(&milliseconds, start, end), 400);
  EXPECT(driver.eventRecord(start, gpu.stream), 0);
  EXPECT(gpu.Launch("SelfTestSlowAdd", 1, 1, number, 1u, kSlow), 0);
  EXPECT(driver.eventRecord(end, gpu.stream), 0);
  EXPECT(driver.eventRecord(untimed, gpu.stream), 0);
  // The kernel is not done.
  EXPECT(driver.eventElapsedTime(&milliseconds, start, end), 600);
  EXPECT(driver.streamSynchronize(gpu.stream), 0);
  EXPECT(driver.eventElapsedTime(&milliseconds, start, end), 0);
  EXPECT(milliseconds > 1, true);
  EXPECT(driver.eventElapsedTime(&milliseconds, start, untimed), 400);
  for (void* event : {start, end, untimed}) EXPECT(driver.eventDestroy(event), 0);
  EXPECT(driver.memFree(number), 0);
}

void TestHostMemory() {
  const Gpu gpu(0);
  unsigned numbers[4] = {1, 1, 1, 1};
  const unsigned portable = twotower::cuda::kHostRegisterPortable;
  EXPECT(driver.memHostRegister(numbers, 0, portable), 1);
  EXPECT(driver.memHostRegister(numbers, 8, 0), 1);
  EXPECT(driver.memHostRegister(numbers, 8, portable), 0);
  EXPECT(driver.memHostRegister(numbers + 1, 8, portable), 712);
  const Address copy = gpu.Allocate(12);
  // Some of the bytes are page-locked, others are not.
  EXPECT(driver.memcpyToDevice(copy, numbers, 12, gpu.stream), 1);
  // The bytes are read when the stream comes to them.
  const Address sum = gpu.Write<unsigned>({0});
  EXPECT(gpu.Launch("SelfTestSlowAdd", 1, 1, sum, 1u, kSlow), 0);
  EXPECT(driver.memcpyToDevice(copy, numbers, 4, gpu.stream), 0);
  numbers[0] = 2;
  EXPECT(gpu.Read<unsigned>(copy, 1)[0], 2);
  EXPECT(driver.memHostUnregister(numbers + 1), 713);
  EXPECT(driver.memHostUnregister(numbers), 0);
  EXPECT(driver.memHostUnregister(numbers), 713);
  EXPECT(driver.memcpyToDevice(copy, numbers, 12, gpu.stream), 0);
  EXPECT(driver.memFree(sum), 0);
  EXPECT(driver.memFree(copy), 0);
}

void TestBarriers() {
  const Gpu gpu(0);
  constexpr unsigned kBlocks = 5, kThreads = 256;
  std::vector<float> values(kBlocks * kThreads);
  for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<float>(i);
  const Address numbers = gpu.Write(values);
  const Address sums = gpu.Allocate(4 * kBlocks);
  // Launches run their threads in different orders.
  for (int launch = 0; launch < 2; launch++) {
    EXPECT(gpu.Launch("SelfTestReverse", kBlocks, kThreads, numbers), 0);
    const auto reversed = gpu.Read<float>(numbers, values.size());
    for (size_t i = 0; i < values.size(); i++) {
      const size_t thread = i % kThreads;
      const size_t from = launch == 0 ? i - thread + kThreads - 1 - thread : i;
      EXPECT(static_cast<long long>(reversed[i]), static_cast<long long>(values[from]));
    }
    EXPECT(gpu.Launch("SelfTestSum", kBlocks, kThreads, numbers, sums), 0);
    const auto totals = gpu.Read<float>(sums, kBlocks);
    for (unsigned block = 0; block < kBlocks; block++) {
      const long long first = block * kThreads;
      EXPECT(static_cast<long long>(totals[block]),
             kThreads * first + kThreads * (kThreads - 1) / 2);
    }
  }
}

void TestUnevenBarriers() {
  const Gpu gpu(0);
  EXPECT(gpu.Launch("SelfTestUnevenBarriers", 1, 4), 0);
  EXPECT(driver.streamSynchronize(gpu.stream), 0);
}

// With 1000 bytes of memory.
void TestMemory() {
  const Gpu gpu(0);
  Address more;
  const Address most = gpu.Allocate(900);
  EXPECT(most % 256, 0);
  EXPECT(driver.memAlloc(&more, 101), 2);
  more = gpu.Allocate(100);
  size_t free, total;
  EXPECT(driver.memGetInfo(&free, &total), 0);
  EXPECT(free, 0);
  EXPECT(total, 1000);
  EXPECT(std::isnan(gpu.Read<float>(more, 1)[0]), true);
  std::vector<char> bytes(901);
  EXPECT(driver.memcpyToDevice(most, bytes.data(), bytes.size(), gpu.stream), 1);
  EXPECT(driver.memFree(most + 4), 1);
  EXPECT(driver.memFree(most), 0);
  EXPECT(driver.memFree(most), 1);
  EXPECT(driver.memFree(gpu.Allocate(900)), 0);
  EXPECT(driver.memFree(more), 0);
  // The other GPU has memory of its own.
  const Gpu other(1);
  EXPECT(driver.memFree(other.Allocate(1000)), 0);
}

void TestMisuse() {
  Address address;
  EXPECT(driver.memAlloc(&address, 4), 3);
  EXPECT(driver.init(0), 0);
  EXPECT(driver.memAlloc(&address, 4), 201);
  const Gpu gpu(0);
  EXPECT(gpu.Launch("SelfTestUnevenBarriers", 1, 1025), 1);
  EXPECT(gpu.Launch("SelfTestUnevenBarriers", 0, 1), 1);
  void* function;
  EXPECT(driver.moduleGetFunction(&function, gpu.module, "NoKernel"), 500);
  EXPECT(driver.moduleGetFunction(&function, gpu.stream, "SelfTestSum"), 400);
  const Gpu other(1);
  EXPECT(driver.contextEnablePeerAccess(gpu.context, 0), 0);
  EXPECT(driver.contextEnablePeerAccess(gpu.context, 0), 704);
  void* module;
  EXPECT(driver.moduleLoadData(&module, "no cubin"), 200);

  int status;
  std::string log;
  Compile(libraries.kernels, "--gpu-architecture=sm_61", &status, &log);
  EXPECT(status, 5);
  Compile(libraries.kernels + "\n", "--gpu-architecture=sm_90", &status, &log);
  EXPECT(status, 6);
  EXPECT(log.find("build.mjs") != std::string::npos, true);
  const auto cubin = Compile(libraries.kernels, "--gpu-architecture=sm_80", &status, &log);
  EXPECT(driver.moduleLoadData(&module, cubin.data()), 209);
}

// Leaves an allocation and an event behind.
void TestLeaks() {
  const Gpu gpu(1);
  gpu.Allocate(300);
  EXPECT(driver.memFree(gpu.Allocate(500)), 0);
  void* event;
  EXPECT(driver.eventCreate(&event, 0), 0);
}

// With TWOTOWER_DOUBLE_FAIL=cuMemAlloc_v2:2:719.
void TestLostGpu() {
  // Never destroyed: no call for it would succeed.
  static const Gpu& gpu = *new Gpu(0);
  gpu.Allocate(4);
  Address address;
  EXPECT(driver.memAlloc(&address, 4), 719);
  EXPECT(driver.streamSynchronize(gpu.stream), 719);
  void* handle;
  EXPECT(libraries.cublas_lt.create(&handle), 13);
  EXPECT(libraries.cudnn.create(&handle), 5001);
  const char* name;
  EXPECT(driver.getErrorName(719, &name), 0);
  EXPECT(std::strcmp(name, "CUDA_ERROR_LAUNCH_FAILED"), 0);
}

}  // namespace
}  // namespace self_test

int main(int count, char** arguments) {
  using namespace self_test;
  const std::map<std::string, void (*)()> tests = {
      {"streams", TestStreams},   {"events", TestEvents},
      {"host memory", TestHostMemory},
      {"barriers", TestBarriers}, {"uneven barriers", TestUnevenBarriers},
      {"elapsed time", TestElapsedTime},
      {"memory", TestMemory},     {"misuse", TestMisuse},
      {"leaks", TestLeaks},       {"lost GPU", TestLostGpu},
      {"products", TestProducts}, {"convolutions", TestConvolutions},
      {"JPEGs", TestJpegs},
  };
  if (count != 3 || tests.count(arguments[2]) == 0) {
    std::fprintf(stderr, "usage: self_test FOLDER NAME\n");
    return 2;
  }
  OpenAll(arguments[1]);
  tests.at(arguments[2])();
  return 0;
}
