#include "device.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "kernels/parameters.h"
#include "../values.h"
#include "libraries.h"

namespace twotower::cuda {
namespace {

thread_local std::unique_ptr<Device> device_of_thread;

struct Architecture {
  int major, minor;
  std::string Name() const { return "sm_" + std::to_string(10 * major + minor); }
};

Architecture ArchitectureOf(int device) {
  Architecture found;
  const Driver& driver = TheDriver();
  CheckDriver(driver.deviceGetAttribute(&found.major, kCapabilityMajor, device),
              "cuDeviceGetAttribute");
  CheckDriver(driver.deviceGetAttribute(&found.minor, kCapabilityMinor, device),
              "cuDeviceGetAttribute");
  return found;
}

// Throws DeviceError unless NVRTC compiles for the architecture.
void RequireKnown(const Architecture& architecture) {
  const Nvrtc& nvrtc = TheNvrtc();
  int count = 0;
  CheckNvrtc(nvrtc.getNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> known(count);
  CheckNvrtc(nvrtc.getSupportedArchs(known.data()), "nvrtcGetSupportedArchs");
  const int wanted = 10 * architecture.major + architecture.minor;
  if (std::find(known.begin(), known.end(), wanted) != known.end()) return;
  int major = 0;
  int minor = 0;
  CheckNvrtc(nvrtc.version(&major, &minor), "nvrtcVersion");
  throw DeviceError("NVRTC " + std::to_string(major) + "." + std::to_string(minor) +
                           " does not know the GPU's architecture, " + architecture.Name() +
                           ": install a version of NVRTC that does");
}

// A program of NVRTC for as long as this exists.
class Program {
 public:
  explicit Program(const std::string& source) {
    CheckNvrtc(TheNvrtc().createProgram(&program_, source.c_str(), "twotower.cu", 0, nullptr,
                                        nullptr),
               "nvrtcCreateProgram");
  }
  ~Program() { TheNvrtc().destroyProgram(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::vector<char> Compile(const Architecture& architecture) {
    const Nvrtc& nvrtc = TheNvrtc();
    const std::string target = "--gpu-architecture=" + architecture.Name();
    const char* options[] = {target.c_str(), "--std=c++17"};
    if (nvrtc.compileProgram(program_, 2, options) != 0) {
      throw std::runtime_error("the kernels do not compile: " + Log());
    }
    size_t bytes = 0;
    CheckNvrtc(nvrtc.getCubinSize(program_, &bytes), "nvrtcGetCUBINSize");
    std::vector<char> image(bytes);
    CheckNvrtc(nvrtc.getCubin(program_, image.data()), "nvrtcGetCUBIN");
    return image;
  }

 private:
  std::string Log() {
    size_t bytes = 0;
    CheckNvrtc(TheNvrtc().getLogSize(program_, &bytes), "nvrtcGetProgramLogSize");
    std::string log(bytes, '\0');
    CheckNvrtc(TheNvrtc().getLog(program_, log.data()), "nvrtcGetProgramLog");
    return log;
  }

  void* program_ = nullptr;
};

// The kernels compiled for an architecture, by the first thread that needs them.
const std::vector<char>& KernelsFor(const Architecture& architecture, const std::string& source) {
  static std::mutex mutex;
  static std::map<std::string, std::vector<char>> compiled;
  const std::lock_guard<std::mutex> lock(mutex);
  std::vector<char>& image = compiled[architecture.Name()];
  if (image.empty()) {
    RequireKnown(architecture);
    image = Program(source).Compile(architecture);
  }
  return image;
}

// Throws DeviceError if there is no such device.
int DeviceOf(int ordinal) {
  const Driver& driver = TheDriver();
  int count = 0;
  const int status = driver.deviceGetCount(&count);
  if (status != 0) count = 0;
  if (ordinal >= count) {
    throw DeviceError("there is no GPU " + std::to_string(ordinal) + ": the driver shows " +
                             std::to_string(count));
  }
  int device = 0;
  CheckDriver(driver.deviceGet(&device, ordinal), "cuDeviceGet");
  return device;
}

// Alignment of scratch memory, as of what cuMemAlloc gives.
constexpr size_t kAlignment = 256;

// Enough blocks to fill any GPU several times over.
constexpr size_t kMostBlocks = 1 << 14;

}  // namespace

Grid Grid::Of(size_t elements) {
  const size_t blocks = (elements + kBlockThreads - 1) / kBlockThreads;
  return {static_cast<unsigned>(std::min(blocks, kMostBlocks)), 1, kBlockThreads, 1};
}

Device* Device::IfOpen() { return device_of_thread.get(); }

Device& Device::OfThread() {
  if (!device_of_thread) throw std::runtime_error("this thread has opened no GPU");
  return *device_of_thread;
}

Device& Device::Open(int ordinal, const std::string& source) {
  Close();
  std::unique_ptr<Device> device(new Device(ordinal));
  device->Prepare(source);
  device_of_thread = std::move(device);
  return *device_of_thread;
}

void Device::Close() { device_of_thread.reset(); }

Device::Device(int ordinal) : ordinal_(ordinal), device_(DeviceOf(ordinal)) {
  char name[256];
  CheckDriver(TheDriver().deviceGetName(name, sizeof(name), device_), "cuDeviceGetName");
  name_ = name;
}

void Device::Prepare(const std::string& source) {
  const Driver& driver = TheDriver();
  const Architecture architecture = ArchitectureOf(device_);
  capability_major_ = architecture.major;
  const std::vector<char>& image = KernelsFor(architecture, source);
  CheckDriver(driver.primaryContextRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  CheckDriver(driver.contextSetCurrent(context_), "cuCtxSetCurrent");
  CheckDriver(driver.streamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
  CheckDriver(driver.moduleLoadData(&module_, image.data()), "cuModuleLoadData");
  CheckCublasLt(TheCublasLt().create(&cublas_lt_), "cublasLtCreate");
  CheckCudnn(TheCudnn().create(&cudnn_), "cudnnCreate");
  CheckCudnn(TheCudnn().setStream(cudnn_, stream_), "cudnnSetStream");
}

// Nothing is checked: a device that has failed fails here again.
Device::~Device() {
  if (context_ == nullptr) return;
  const Driver& driver = TheDriver();
  if (stream_ != nullptr) driver.streamSynchronize(stream_);
  if (cudnn_ != nullptr) TheCudnn().destroy(cudnn_);
  if (cublas_lt_ != nullptr) TheCublasLt().destroy(cublas_lt_);
  for (const Address address : allocated_) driver.memFree(address);
  for (void* event : events_) driver.eventDestroy(event);
  for (const auto& [ordinal, peer] : peers_) driver.primaryContextRelease(peer.device);
  if (module_ != nullptr) driver.moduleUnload(module_);
  if (stream_ != nullptr) driver.streamDestroy(stream_);
  driver.contextSetCurrent(nullptr);
  driver.primaryContextRelease(device_);
}

void Device::Enqueue(const char* kernel, const Grid& grid, void** parameters) {
  if (grid.blocks_x == 0 || grid.blocks_y == 0) return;
  const Driver& driver = TheDriver();
  void*& function = functions_[kernel];
  if (function == nullptr) {
    CheckDriver(driver.moduleGetFunction(&function, module_, kernel), kernel);
  }
  CheckDriver(driver.launchKernel(function, grid.blocks_x, grid.blocks_y, 1, grid.threads_x,
                                  grid.threads_y, 1, 0, stream_, parameters, nullptr),
              kernel);
}

void Device::Write(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  CheckDriver(TheDriver().memcpyToDevice(reinterpret_cast<Address>(to), from, bytes, stream_),
              "cuMemcpyHtoDAsync");
}

void Device::Read(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  CheckDriver(TheDriver().memcpyToHost(to, reinterpret_cast<Address>(from), bytes, stream_),
              "cuMemcpyDtoHAsync");
  Synchronize();
}

void Device::Copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  CheckDriver(TheDriver().memcpyOnDevice(reinterpret_cast<Address>(to),
                                         reinterpret_cast<Address>(from), bytes, stream_),
              "cuMemcpyDtoDAsync");
}

void Device::Synchronize() {
  CheckDriver(TheDriver().streamSynchronize(stream_), "cuStreamSynchronize");
}

Address Device::Allocate(size_t bytes) {
  Address address = 0;
  const int status = TheDriver().memAlloc(&address, std::max(bytes, kAlignment));
  if (status == kOutOfMemory) throw DeviceError(OutOfMemory(bytes));
  CheckDriver(status, "cuMemAlloc");
  allocated_.insert(address);
  return address;
}

std::string Device::OutOfMemory(size_t bytes) const {
  size_t free = 0;
  size_t total = 0;
  TheDriver().memGetInfo(&free, &total);
  const auto mebibytes = [](size_t count) { return std::to_string(count >> 20) + " MiB"; };
  return "GPU " + std::to_string(ordinal_) + " (" + name_ + ") is out of memory: " +
         mebibytes(bytes) + " were asked for, " + mebibytes(free) + " of " + mebibytes(total) +
         " are free; a smaller --batch needs less";
}

size_t Device::UsedBytes() const {
  size_t free = 0;
  size_t total = 0;
  CheckDriver(TheDriver().memGetInfo(&free, &total), "cuMemGetInfo");
  return total - free;
}

void Device::Free(Address address) {
  if (allocated_.erase(address) == 0) return;
  CheckDriver(TheDriver().memFree(address), "cuMemFree");
}

// An arena that was too small grows as soon as nothing of it is in use.
Scratch::Scratch(size_t bytes) {
  Device& device = Device::OfThread();
  bytes = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  if (device.arena_used_ == 0 && device.arena_wanted_ > device.arena_bytes_) {
    if (device.arena_ != 0) device.Free(device.arena_);
    device.arena_bytes_ = 0;
    device.arena_ = device.Allocate(device.arena_wanted_);
    device.arena_bytes_ = device.arena_wanted_;
  }
  if (bytes <= device.arena_bytes_ - device.arena_used_) {
    address_ = device.arena_ + device.arena_used_;
    arena_bytes_ = bytes;
    device.arena_used_ += bytes;
  } else {
    address_ = device.Allocate(bytes);
    device.arena_wanted_ = std::max(device.arena_wanted_, device.arena_used_ + bytes);
  }
}

Scratch::~Scratch() {
  Device& device = Device::OfThread();
  if (arena_bytes_ > 0) {
    device.arena_used_ -= arena_bytes_;
    return;
  }
  try {
    device.Free(address_);
  } catch (const std::exception&) {
    // The device has failed, which the next call reports.
  }
}

}  // namespace twotower::cuda
