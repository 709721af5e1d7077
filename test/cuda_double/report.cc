#include "report.h"

#include <cstdio>
#include <sstream>
#include <string>

#include "gpu.h"
#include "settings.h"

namespace cuda_double {
namespace {

std::string Member(const char* name, const Count& count) {
  std::ostringstream text;
  text << '"' << name << "\":{\"created\":" << count.created << ",\"destroyed\":" << count.destroyed
       << '}';
  return text.str();
}

std::string Report() {
  std::string text = "{\"devices\":[";
  for (const auto& gpu : Gpus()) {
    if (gpu->ordinal > 0) text += ',';
    text += gpu->Report();
  }
  const LibraryCounts& counts = TheLibraryCounts();
  return text + "]," + Member("nvrtc", counts.nvrtc) + ',' + Member("cublasLt", counts.cublas_lt) +
         ',' + Member("cudnn", counts.cudnn) + ',' + Member("nvjpeg", counts.nvjpeg) + ',' + Member("hostMemory", counts.host_memory) + "}\n";
}

__attribute__((destructor)) void WriteReport() {
  const std::string& file = TheSettings().report;
  if (file.empty()) return;
  const std::string text = Report();
  std::FILE* out = std::fopen(file.c_str(), "w");
  if (out == nullptr || std::fwrite(text.data(), 1, text.size(), out) != text.size()) {
    std::fprintf(stderr, "CUDA double: the report cannot be written to %s\n", file.c_str());
  }
  if (out != nullptr) std::fclose(out);
}

}  // namespace

LibraryCounts& TheLibraryCounts() {
  static LibraryCounts& counts = *new LibraryCounts();
  return counts;
}

std::string Gpu::Report() const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::ostringstream text;
  text << "{\"bytes\":{\"live\":" << used_ + abandoned_ << ",\"peak\":" << peak_ << "},"
       << Member("allocations", allocations) << ',' << Member("streams", streams) << ','
       << Member("events", events) << ',' << Member("modules", modules) << ','
       << "\"contextUsers\":" << context_users_ << '}';
  return text.str();
}

}  // namespace cuda_double
