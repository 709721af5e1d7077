// NVRTC: the kernels are in the double already, so that it only compares their text.

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "call.h"
#include "cubin.h"
#include "handles.h"
#include "kernel_table.h"
#include "report.h"

namespace cuda_double {
namespace {

constexpr int kInvalidInput = 3;
constexpr int kInvalidProgram = 4;
constexpr int kInvalidOption = 5;
constexpr int kCompilation = 6;

// Of CUDA 13.
constexpr int kArchitectures[] = {75, 80, 86, 89, 90, 100, 120};

struct Program {
  std::string source;
  std::string log;
  std::string cubin;
};

Handles<Program>& Programs() {
  static auto& programs = *new Handles<Program>();
  return programs;
}

std::shared_ptr<Program> ProgramOf(const void* handle) {
  auto program = Programs().Find(handle);
  if (program == nullptr) throw Status{kInvalidProgram};
  return program;
}

bool StartsWith(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

// Whether NVRTC has the option. Only those that could be useful here are known.
bool IsKnown(const std::string& option) {
  for (const char* known :
       {"--std=", "-std=", "--fmad=", "-fmad=", "--ftz=", "-ftz=", "--prec-div=", "-prec-div=",
        "--prec-sqrt=", "-prec-sqrt=", "--define-macro=", "-D", "--maxrregcount=", "--dopt=",
        "--split-compile="}) {
    if (StartsWith(option, known)) return true;
  }
  for (const char* known :
       {"--use_fast_math", "-use_fast_math", "--generate-line-info", "-lineinfo", "--device-debug",
        "-G", "--default-device", "-default-device", "--extra-device-vectorization",
        "--restrict", "-restrict", "--disable-warnings", "-w"}) {
    if (option == known) return true;
  }
  return false;
}

// The architecture for which machine code is made, or 0 for a virtual one.
int ArchitectureOf(const std::string& name) {
  for (const int architecture : kArchitectures) {
    if (name == "sm_" + std::to_string(architecture)) return architecture;
    if (name == "compute_" + std::to_string(architecture)) return 0;
  }
  return -1;
}

// The line in which two texts first differ, counted from 1.
size_t DifferingLine(const std::string& a, const std::string& b) {
  size_t line = 1;
  for (size_t i = 0; i < a.size() && i < b.size() && a[i] == b[i]; i++) line += a[i] == '\n';
  return line;
}

void Compile(Program& program, int count, const char* const* options) {
  int architecture = 0;
  program.cubin.clear();
  const auto fail = [&](int status, const std::string& log) {
    program.log = log;
    throw Status{status};
  };
  for (int i = 0; i < count; i++) {
    const std::string option = options[i];
    if (StartsWith(option, "--gpu-architecture=") || StartsWith(option, "-arch=")) {
      architecture = ArchitectureOf(option.substr(option.find('=') + 1));
      if (architecture < 0) {
        fail(kInvalidOption, "nvrtc: error: invalid value for --gpu-architecture (-arch)\n");
      }
    } else if (!IsKnown(option)) {
      fail(kInvalidOption, "nvrtc: error: unrecognized option " + option + " found\n");
    }
  }
  if (program.source != kKernelSource) {
    fail(kCompilation, "the test double was built from other kernels, which differ from line " +
                           std::to_string(DifferingLine(program.source, kKernelSource)) +
                           " on: run test/cuda_double/build.mjs\n");
  }
  program.log.clear();
  if (architecture > 0) program.cubin = kCubinStart + std::to_string(architecture) + '\0';
}

template <typename Body>
int NvrtcCall(const char* symbol, const Body& body) noexcept {
  return Call(Library::kNvrtc, symbol, body);
}

}  // namespace

int nvrtcVersion(int* major, int* minor) {
  return NvrtcCall(__func__, [&] {
    *major = 13;
    *minor = 0;
  });
}

int nvrtcCreateProgram(void** program, const char* source, const char* /*name*/, int headers,
                       const char* const* /*header_sources*/,
                       const char* const* /*header_names*/) {
  return NvrtcCall(__func__, [&] {
    if (program == nullptr || source == nullptr || headers != 0) throw Status{kInvalidInput};
    auto created = std::make_shared<Program>();
    created->source = source;
    *program = Programs().Add(std::move(created));
    TheLibraryCounts().nvrtc.created++;
  });
}

int nvrtcDestroyProgram(void** program) {
  return NvrtcCall(__func__, [&] {
    if (Programs().Remove(*program) == nullptr) throw Status{kInvalidProgram};
    TheLibraryCounts().nvrtc.destroyed++;
    *program = nullptr;
  });
}

int nvrtcCompileProgram(void* program, int count, const char* const* options) {
  return NvrtcCall(__func__, [&] { Compile(*ProgramOf(program), count, options); });
}

int nvrtcGetNumSupportedArchs(int* count) {
  return NvrtcCall(__func__,
                   [&] { *count = sizeof(kArchitectures) / sizeof(kArchitectures[0]); });
}

int nvrtcGetSupportedArchs(int* architectures) {
  return NvrtcCall(__func__, [&] {
    for (const int architecture : kArchitectures) *architectures++ = architecture;
  });
}

int nvrtcGetCUBINSize(void* program, size_t* bytes) {
  return NvrtcCall(__func__, [&] { *bytes = ProgramOf(program)->cubin.size(); });
}

int nvrtcGetCUBIN(void* program, char* image) {
  return NvrtcCall(__func__, [&] {
    const auto compiled = ProgramOf(program);
    if (compiled->cubin.empty()) throw Status{kInvalidInput};
    std::memcpy(image, compiled->cubin.data(), compiled->cubin.size());
  });
}

int nvrtcGetProgramLogSize(void* program, size_t* bytes) {
  return NvrtcCall(__func__, [&] { *bytes = ProgramOf(program)->log.size() + 1; });
}

int nvrtcGetProgramLog(void* program, char* log) {
  return NvrtcCall(__func__, [&] {
    const auto compiled = ProgramOf(program);
    std::memcpy(log, compiled->log.c_str(), compiled->log.size() + 1);
  });
}

}  // namespace cuda_double
