// The driver's functions of modules and kernels.

#include <cstdlib>
#include <cstring>
#include <memory>

#include "block.h"
#include "cubin.h"
#include "driver.h"
#include "settings.h"

namespace cuda_double {
namespace {

// A cubin is for one major architecture, of the minor one and later.
void CheckImage(const void* image) {
  Require(image != nullptr, kInvalidValue);
  const auto* text = static_cast<const char*>(image);
  const size_t start = std::strlen(kCubinStart);
  Require(std::strncmp(text, kCubinStart, start) == 0, kInvalidImage);
  const int architecture = std::atoi(text + start);
  const int capability = TheSettings().capability;
  Require(architecture / 10 == capability / 10 && architecture <= capability, kNoBinaryForGpu);
}

bool IsIn(unsigned size, unsigned limit) { return size > 0 && size <= limit; }

}  // namespace

int cuModuleLoadData(void** module, const void* image) {
  return ContextCall(__func__, [&](Gpu& gpu) {
    CheckImage(image);
    *module = Modules().Add(std::make_shared<Module>(Module{gpu.ordinal}));
    gpu.modules.created++;
  });
}

int cuModuleUnload(void* module) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto removed = Modules().Remove(module);
    Require(removed != nullptr, kInvalidHandle);
    Functions().RemoveIf([&](const Function& function) { return function.module == module; });
    GpuOf(removed->device).modules.destroyed++;
  });
}

int cuModuleGetFunction(void** function, void* module, const char* name) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto loaded = Modules().Find(module);
    Require(loaded != nullptr, kInvalidHandle);
    for (size_t i = 0; i < kKernelCount; i++) {
      if (std::strcmp(kKernels[i].name, name) != 0) continue;
      *function = Functions().Add(
          std::make_shared<Function>(Function{loaded->device, module, &kKernels[i]}));
      return;
    }
    throw DriverStatus{kNotFound};
  });
}

int cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                   void* stream, void** parameters, void** extra) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto launched = Functions().Find(function);
    Require(launched != nullptr, kInvalidHandle);
    const auto target = StreamOf(stream);
    Require(launched->device == target->device, kInvalidHandle);
    Require(IsIn(grid_x, 0x7fffffff) && IsIn(grid_y, 65535) && IsIn(grid_z, 65535), kInvalidValue);
    Require(IsIn(block_x, 1024) && IsIn(block_y, 1024) && IsIn(block_z, 64), kInvalidValue);
    Require(block_x * block_y * block_z <= 1024, kInvalidValue);
    // The double's kernels have no shared memory but their own, and take parameters in one way.
    Require(shared_bytes == 0 && extra == nullptr, kInvalidValue);
    target->Enqueue([=, kernel = launched->kernel->bind(parameters), raw = target.get()] {
      const bool is_reversed = raw->launches++ % 2 == 1;
      RunGrid(kernel, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, is_reversed);
    });
  });
}

}  // namespace cuda_double
