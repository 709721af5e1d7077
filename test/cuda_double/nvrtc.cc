// NVRTC. The kernels were compiled with the double, so compiling them again is only comparing their text.

#include <cstdio>
#include <cstring>
#include <string>

#include "call.h"
#include "gpu.h"

namespace cuda_double {
namespace {

constexpr int kProgramCreationFailure = 2;
constexpr int kInvalidInput = 3;
constexpr int kInvalidProgram = 4;
constexpr int kInvalidOption = 5;
constexpr int kCompilation = 6;

constexpr int kArchitectures[] = {75, 80, 86, 89, 90, 100, 120};

struct Program {
  std::string source, image, log;
};

Handles<Program>& Programs() {
  static auto& programs = *new Handles<Program>();
  return programs;
}

std::shared_ptr<Program> ProgramOf(void* handle) {
  auto program = Programs().Find(handle);
  if (program == nullptr) throw Status{kInvalidProgram};
  return program;
}

template <typename Body>
int CallNvrtc(const char* symbol, const Body& body) {
  return Call(Library::kNvrtc, symbol, body);
}

}  // namespace

int nvrtcVersion(int* major, int* minor) {
  return CallNvrtc("nvrtcVersion", [&] {
    *major = 13;
    *minor = 0;
  });
}

int nvrtcGetNumSupportedArchs(int* count) {
  return CallNvrtc("nvrtcGetNumSupportedArchs",
                   [&] { *count = sizeof(kArchitectures) / sizeof(int); });
}

int nvrtcGetSupportedArchs(int* architectures) {
  return CallNvrtc("nvrtcGetSupportedArchs",
                   [&] { std::memcpy(architectures, kArchitectures, sizeof(kArchitectures)); });
}

int nvrtcCreateProgram(void** program, const char* source, const char*, int headers,
                       const char* const*, const char* const*) {
  return CallNvrtc("nvrtcCreateProgram", [&] {
    if (headers != 0) throw Status{kProgramCreationFailure};
    *program = Programs().Add(std::make_shared<Program>(Program{source, "", ""}));
  });
}

int nvrtcDestroyProgram(void** program) {
  return CallNvrtc("nvrtcDestroyProgram", [&] {
    if (Programs().Remove(*program) == nullptr) throw Status{kInvalidProgram};
    *program = nullptr;
  });
}

int nvrtcCompileProgram(void* handle, int count, const char* const* options) {
  return CallNvrtc("nvrtcCompileProgram", [&] {
    const auto program = ProgramOf(handle);
    int chosen = 0;
    for (int i = 0; i < count; i++) {
      if (std::strcmp(options[i], "--std=c++17") == 0) continue;
      if (std::sscanf(options[i], "--gpu-architecture=sm_%d", &chosen) != 1) {
        throw Status{kInvalidOption};
      }
    }
    bool is_known = false;
    for (const int architecture : kArchitectures) is_known = is_known || architecture == chosen;
    if (!is_known) throw Status{kInvalidOption};
    if (program->source != kKernelSource) {
      program->log = "the double was built of other kernels: run node test/cuda_double/build.mjs";
      throw Status{kCompilation};
    }
    program->image = ImageOf(chosen);
  });
}

// An image ends with its 0.
int nvrtcGetCUBINSize(void* program, size_t* bytes) {
  return CallNvrtc("nvrtcGetCUBINSize", [&] { *bytes = ProgramOf(program)->image.size() + 1; });
}

int nvrtcGetCUBIN(void* handle, char* image) {
  return CallNvrtc("nvrtcGetCUBIN", [&] {
    const auto program = ProgramOf(handle);
    if (program->image.empty()) throw Status{kInvalidInput};
    std::memcpy(image, program->image.c_str(), program->image.size() + 1);
  });
}

int nvrtcGetProgramLogSize(void* program, size_t* bytes) {
  return CallNvrtc("nvrtcGetProgramLogSize", [&] { *bytes = ProgramOf(program)->log.size() + 1; });
}

int nvrtcGetProgramLog(void* handle, char* log) {
  return CallNvrtc("nvrtcGetProgramLog", [&] {
    const auto program = ProgramOf(handle);
    std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  });
}

}  // namespace cuda_double
