// The report that TWOTOWER_DOUBLE_REPORT asks for, when the process ends.

#include <cstdio>
#include <map>
#include <mutex>

#include "gpu.h"
#include "settings.h"

namespace cuda_double {
namespace {

std::mutex& Mutex() {
  static auto& mutex = *new std::mutex();
  return mutex;
}

std::map<std::string, Count>& Counts() {
  static auto& counts = *new std::map<std::string, Count>();
  return counts;
}

std::string Json(const Count& count) {
  return "{\"created\":" + std::to_string(count.created) +
         ",\"destroyed\":" + std::to_string(count.destroyed) + "}";
}

struct ReportAtEnd {
  ~ReportAtEnd() {
    const std::string& path = TheSettings().report;
    if (path.empty()) return;
    std::string text = "{\"gpus\":[";
    for (const auto& gpu : Gpus()) text += (gpu->ordinal == 0 ? "" : ",") + gpu->Report();
    text += "],\"libraries\":{";
    const std::lock_guard<std::mutex> lock(Mutex());
    const char* separator = "";
    for (const auto& [kind, count] : Counts()) {
      text += separator + ("\"" + kind + "\":") + Json(count);
      separator = ",";
    }
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return;
    std::fputs((text + "}}\n").c_str(), file);
    std::fclose(file);
  }
} at_end;

}  // namespace

Count& CountOf(const char* kind) {
  const std::lock_guard<std::mutex> lock(Mutex());
  return Counts()[kind];
}

std::string Gpu::Report() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return "{\"usedBytes\":" + std::to_string(used_) + ",\"peakBytes\":" + std::to_string(peak_) +
         ",\"abandonedBytes\":" + std::to_string(abandoned_) +
         ",\"allocations\":" + Json(allocations) + ",\"streams\":" + Json(streams) +
         ",\"events\":" + Json(events) + ",\"modules\":" + Json(modules) + "}";
}

}  // namespace cuda_double
