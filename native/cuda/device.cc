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

Device& Device::Open(int ordinal, const std::string& source, double share, Use use) {
  Close();
  std::unique_ptr<Device> device(new Device(ordinal, share));
  device->Prepare(source, use);
  device_of_thread = std::move(device);
  return *device_of_thread;
}

void Device::Close() { device_of_thread.reset(); }

Device::Device(int ordinal, double share) : ordinal_(ordinal), device_(DeviceOf(ordinal)) {
  char name[256];
  CheckDriver(TheDriver().deviceGetName(name, sizeof(name), device_), "cuDeviceGetName");
  name_ = name;
  size_t total = 0;
  CheckDriver(TheDriver().deviceTotalMem(&total, device_), "cuDeviceTotalMem");
  limit_ = static_cast<size_t>(static_cast<double>(total) * share);
}

void Device::Prepare(const std::string& source, Use use) {
  const Driver& driver = TheDriver();
  const Architecture architecture = ArchitectureOf(device_);
  capability_major_ = architecture.major;
  const std::vector<char>& image = KernelsFor(architecture, source);
  CheckDriver(driver.primaryContextRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  CheckDriver(driver.contextSetCurrent(context_), "cuCtxSetCurrent");
  CheckDriver(driver.streamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
  CheckDriver(driver.moduleLoadData(&module_, image.data()), "cuModuleLoadData");
  if (use == Use::kDecoding) return;
  CheckCublasLt(TheCublasLt().create(&cublas_lt_), "cublasLtCreate");
  CheckCudnn(TheCudnn().create(&cudnn_), "cudnnCreate");
  CheckCudnn(TheCudnn().setStream(cudnn_, stream_), "cudnnSetStream");
}

// Nothing is checked: a device that has failed fails here again.
Device::~Device() {
  if (context_ == nullptr) return;
  const Driver& driver = TheDriver();
  AbandonGraph();
  // The stream may wait for sums that never end.
  nccl_.reset();
  if (stream_ != nullptr) driver.streamSynchronize(stream_);
  uploads_.reset();
  jpegs_.reset();
  downloads_.reset();
  if (cudnn_ != nullptr) TheCudnn().destroy(cudnn_);
  if (cublas_lt_ != nullptr) TheCublasLt().destroy(cublas_lt_);
  for (const auto& [address, bytes] : allocated_) driver.memFree(address);
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
  if (is_recording()) {
    CheckDriver(TheDriver().memcpyToDeviceNow(reinterpret_cast<Address>(to), from, bytes),
                "cuMemcpyHtoD");
    return;
  }
  CheckDriver(TheDriver().memcpyToDevice(reinterpret_cast<Address>(to), from, bytes, stream_),
              "cuMemcpyHtoDAsync");
}

void Device::Read(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (is_recording()) throw std::runtime_error("work that is recorded has no values yet");
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

Uploads& Device::uploads() {
  if (!uploads_) uploads_ = std::make_unique<Uploads>();
  return *uploads_;
}

Jpegs& Device::jpegs() {
  if (!jpegs_) jpegs_ = std::make_unique<Jpegs>(*this);
  return *jpegs_;
}

Downloads& Device::downloads() {
  if (!downloads_) downloads_ = std::make_unique<Downloads>();
  return *downloads_;
}

void Device::ThrowIfFailed() {
  const int status = TheDriver().streamQuery(stream_);
  if (status != kNotReady) CheckDriver(status, "cuStreamQuery");
}

void Device::Synchronize() {
  if (is_recording()) throw std::runtime_error("work that is recorded cannot be waited for");
  CheckDriver(TheDriver().streamSynchronize(stream_), "cuStreamSynchronize");
}

Address Device::Allocate(size_t bytes) {
  bytes = std::max(bytes, kAlignment);
  Address address = TryAllocate(bytes);
  if (address == 0 && make_room_) {
    make_room_();
    address = TryAllocate(bytes);
  }
  if (address == 0) throw DeviceMemoryError(OutOfMemory(bytes));
  allocated_[address] = bytes;
  held_ += bytes;
  return address;
}

Address Device::TryAllocate(size_t bytes) {
  if (held_ > limit_ || bytes > limit_ - held_) return 0;
  Address address = 0;
  const int status = TheDriver().memAlloc(&address, bytes);
  if (status == kOutOfMemory) return 0;
  CheckDriver(status, "cuMemAlloc");
  return address;
}

Device::Memory Device::MemoryNow() const {
  Memory memory{held_, limit_, 0, 0};
  CheckDriver(TheDriver().memGetInfo(&memory.free, &memory.total), "cuMemGetInfo");
  return memory;
}

std::string Device::OutOfMemory(size_t bytes) const {
  const Memory memory = MemoryNow();
  const auto mebibytes = [](size_t count) { return std::to_string(count >> 20) + " MiB"; };
  const std::string limit =
      memory.limit < memory.total ? " of the " + mebibytes(memory.limit) + " that it may" : "";
  return "GPU " + std::to_string(ordinal_) + " (" + name_ + ") is out of memory: " +
         mebibytes(bytes) + " were asked for; this worker holds " + mebibytes(memory.held) + limit +
         ", and " + mebibytes(memory.free) + " of the GPU's " + mebibytes(memory.total) +
         " are free";
}

void Device::Free(Address address) {
  const auto found = allocated_.find(address);
  if (found == allocated_.end()) return;
  held_ -= found->second;
  allocated_.erase(found);
  CheckDriver(TheDriver().memFree(address), "cuMemFree");
}

void Device::GrowArena() {
  if (arena_wanted_ <= arena_bytes_) return;
  if (arena_ != 0) Free(arena_);
  arena_ = 0;
  arena_bytes_ = 0;
  arena_generation_++;
  arena_ = Allocate(arena_wanted_);
  arena_bytes_ = arena_wanted_;
}

// An arena that was too small grows as soon as nothing of it is in use.
Scratch::Scratch(size_t bytes) {
  Device& device = Device::OfThread();
  bytes = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  if (device.arena_used_ == 0 && !device.is_recording()) device.GrowArena();
  if (bytes <= device.arena_bytes_ - device.arena_used_) {
    address_ = device.arena_ + device.arena_used_;
    arena_bytes_ = bytes;
    device.arena_used_ += bytes;
  } else {
    // A graph would use this memory after it is freed.
    if (device.is_recording()) throw std::runtime_error("scratch memory must grow");
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
