#include "libraries.h"

#include <dirent.h>
#include <dlfcn.h>

#include <cstring>
#include <mutex>

#include "../values.h"

namespace twotower::cuda {
namespace {

std::vector<std::string>& Folders() {
  static std::vector<std::string> folders;
  return folders;
}

// An opened library, and the file that it was opened from.
struct Opened {
  void* handle = nullptr;
  std::string file;
};

std::string FolderOf(const std::string& file) { return file.substr(0, file.rfind('/') + 1); }

// NVRTC opens its builtins by their name alone, which finds them only if they are open already.
void OpenBuiltins(const std::string& nvrtc) {
  const std::string folder = FolderOf(nvrtc);
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) return;
  constexpr char kPrefix[] = "libnvrtc-builtins.so.";
  while (const dirent* entry = readdir(entries)) {
    if (std::strncmp(entry->d_name, kPrefix, sizeof(kPrefix) - 1) != 0) continue;
    dlopen((folder + entry->d_name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  closedir(entries);
}

// Opens the first of the files of these names, in each folder and then where the system's loader looks.
// Throws DeviceError with `remedy` if there is none, or if the last one that is there does not load.
Opened Open(const std::vector<std::string>& names, const std::string& remedy) {
  std::vector<std::string> files;
  for (const std::string& name : names) {
    for (const std::string& folder : Folders()) files.push_back(folder + "/" + name);
    files.push_back(name);
  }
  std::string reason;
  for (const std::string& file : files) {
    if (file.rfind("/libnvrtc.so.") != std::string::npos) OpenBuiltins(file);
    Opened opened{dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL), file};
    if (opened.handle != nullptr) return opened;
    const std::string error = dlerror();
    if (error.find("No such file") == std::string::npos) reason = " (" + error + ")";
  }
  throw DeviceError(names[0] + " was not found or does not load" + reason + ": " + remedy);
}

void* SymbolOf(const Opened& library, const char* symbol) {
  void* found = dlsym(library.handle, symbol);
  if (found == nullptr) {
    throw DeviceError(library.file + " has no function " + symbol +
                             ": install a newer version of it");
  }
  return found;
}

#define TWOTOWER_LOAD(name, symbol, parameters) \
  functions.name = reinterpret_cast<decltype(functions.name)>(SymbolOf(library, #symbol));

struct OpenedDriver {
  Opened library = Open({"libcuda.so.1"}, "install NVIDIA's driver");
  Driver functions;
  OpenedDriver() { TWOTOWER_DRIVER(TWOTOWER_LOAD) }
};

// CUDA's version as the driver supports it, e.g. 13000.
int DriverVersion() {
  int version = 0;
  CheckDriver(TheDriver().driverGetVersion(&version), "cuDriverGetVersion");
  return version;
}

// Names of a library of CUDA in the versions that the driver supports.
std::vector<std::string> NamesOf(const std::string& library) {
  std::vector<std::string> names;
  if (DriverVersion() >= 13000) names.push_back(library + ".so.13");
  names.push_back(library + ".so.12");
  return names;
}

std::string Remedy() {
  const char* packages = DriverVersion() >= 13000
                             ? "nvidia-cuda-nvrtc nvidia-cublas nvidia-cudnn-cu13"
                             : "nvidia-cuda-nvrtc-cu12 nvidia-cublas-cu12 nvidia-cudnn-cu12";
  return std::string("pip install --user ") + packages +
         " brings it, as PyTorch for CUDA does; or name its folder in TWOTOWER_CUDA";
}

struct OpenedNvrtc {
  Opened library = Open(NamesOf("libnvrtc"), Remedy());
  Nvrtc functions;
  OpenedNvrtc() { TWOTOWER_NVRTC(TWOTOWER_LOAD) }
};

struct OpenedCublasLt {
  Opened library = Open(NamesOf("libcublasLt"), Remedy());
  CublasLt functions;
  OpenedCublasLt() { TWOTOWER_CUBLASLT(TWOTOWER_LOAD) }
};

struct OpenedCudnn {
  Opened library = Open({"libcudnn.so.9"}, Remedy());
  Cudnn functions;
  OpenedCudnn() { TWOTOWER_CUDNN(TWOTOWER_LOAD) }
};

std::string NvJpegRemedy() {
  const char* package = DriverVersion() >= 13000 ? "nvidia-nvjpeg" : "nvidia-nvjpeg-cu12";
  return std::string("pip install --user ") + package +
         " brings it; or name its folder in TWOTOWER_CUDA";
}

struct OpenedNvJpeg {
  Opened library = Open(NamesOf("libnvjpeg"), NvJpegRemedy());
  NvJpeg functions;
  OpenedNvJpeg() { TWOTOWER_NVJPEG(TWOTOWER_LOAD) }
};

struct OpenedNccl {
  Opened library = Open({"libnccl.so.2"}, "pip install --user nvidia-nccl-cu" +
                                              std::string(DriverVersion() >= 13000 ? "13" : "12") +
                                              " brings it, as PyTorch for CUDA does");
  Nccl functions;
  OpenedNccl() { TWOTOWER_NCCL(TWOTOWER_LOAD) }
};

#undef TWOTOWER_LOAD

// A library is opened by the first thread that needs it; if that fails, the next one tries again.
template <typename Library>
const Library& Only() {
  static const Library library;
  return library;
}

// The library's words for a status, from its function of this name where it has one.
std::string WordsOf(const Opened& library, const char* function, int status) {
  const auto words = reinterpret_cast<const char* (*)(int)>(dlsym(library.handle, function));
  const char* text = words == nullptr ? nullptr : words(status);
  return text == nullptr ? "status " + std::to_string(status) : text;
}

[[noreturn]] void Fail(const char* call, const std::string& words) {
  throw DeviceError(std::string(call) + " failed: " + words);
}

}  // namespace

void LookIn(std::vector<std::string> folders) {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (Folders().empty()) Folders() = std::move(folders);
}

const Driver& TheDriver() {
  const Driver& driver = Only<OpenedDriver>().functions;
  static const int status = driver.init(0);
  if (status != kNoDevice && status != 0) {
    const char* text = nullptr;
    driver.getErrorString(status, &text);
    Fail("cuInit", text == nullptr ? "status " + std::to_string(status) : text);
  }
  return driver;
}

const Nvrtc& TheNvrtc() { return Only<OpenedNvrtc>().functions; }
const CublasLt& TheCublasLt() { return Only<OpenedCublasLt>().functions; }
const Cudnn& TheCudnn() { return Only<OpenedCudnn>().functions; }
const NvJpeg& TheNvJpeg() { return Only<OpenedNvJpeg>().functions; }
const Nccl& TheNccl() { return Only<OpenedNccl>().functions; }

std::vector<std::string> Files() {
  std::vector<std::string> files;
  TheDriver();
  for (const Opened* library : {&Only<OpenedDriver>().library, &Only<OpenedNvrtc>().library,
                                &Only<OpenedCublasLt>().library, &Only<OpenedCudnn>().library}) {
    files.push_back(library->file);
  }
  return files;
}

NvJpegLibrary FindNvJpeg() {
  TheDriver();
  NvJpegLibrary found{0, 0, Only<OpenedNvJpeg>().library.file};
  CheckNvJpeg(TheNvJpeg().getProperty(kMajorVersion, &found.major), "nvjpegGetProperty");
  CheckNvJpeg(TheNvJpeg().getProperty(kMinorVersion, &found.minor), "nvjpegGetProperty");
  // The first version that interpolates chroma.
  if (found.major > 12 || (found.major == 12 && found.minor >= 1)) return found;
  throw DeviceError(found.file + " has version " + std::to_string(found.major) + "." +
                    std::to_string(found.minor) + ", and 12.1 is needed: " + NvJpegRemedy());
}

std::string NcclFile() { return Only<OpenedNccl>().library.file; }

void CheckDriver(int status, const char* call) {
  if (status == 0) return;
  const char* name = nullptr;
  const char* text = nullptr;
  TheDriver().getErrorName(status, &name);
  TheDriver().getErrorString(status, &text);
  if (name == nullptr || text == nullptr) Fail(call, "status " + std::to_string(status));
  Fail(call, std::string(text) + " (" + name + ")");
}

void CheckNvrtc(int status, const char* call) {
  if (status != 0) Fail(call, WordsOf(Only<OpenedNvrtc>().library, "nvrtcGetErrorString", status));
}

void CheckCublasLt(int status, const char* call) {
  if (status == 0) return;
  Fail(call, WordsOf(Only<OpenedCublasLt>().library, "cublasLtGetStatusString", status));
}

void CheckCudnn(int status, const char* call) {
  if (status != 0) Fail(call, WordsOf(Only<OpenedCudnn>().library, "cudnnGetErrorString", status));
}

// nvJPEG has no words for its statuses.
void CheckNvJpeg(int status, const char* call) {
  if (status != 0) Fail(call, "status " + std::to_string(status));
}

void CheckNccl(int status, const char* call) {
  if (status != 0) Fail(call, WordsOf(Only<OpenedNccl>().library, "ncclGetErrorString", status));
}

}  // namespace twotower::cuda
