#include "settings.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace cuda_double {
namespace {

[[noreturn]] void Reject(const char* name, const std::string& value) {
  std::fprintf(stderr, "CUDA double: %s=%s cannot be read\n", name, value.c_str());
  std::exit(2);
}

std::string Text(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

long long Number(const char* name, const std::string& text) {
  char* end;
  errno = 0;
  const long long number = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0 || number < 0) Reject(name, text);
  return number;
}

long long NumberOr(const char* name, long long number) {
  const std::string text = Text(name);
  return text.empty() ? number : Number(name, text);
}

// The driver takes the list up to the first entry that names no GPU.
std::vector<int> VisibleOf(int devices) {
  std::vector<int> visible;
  const char* list = std::getenv("CUDA_VISIBLE_DEVICES");
  if (list == nullptr) {
    for (int i = 0; i < devices; i++) visible.push_back(i);
    return visible;
  }
  for (const char* entry = list;;) {
    char* end;
    const long device = std::strtol(entry, &end, 10);
    const bool is_known = end != entry && device >= 0 && device < devices;
    if (!is_known || (*end != ',' && *end != '\0')) break;
    if (std::count(visible.begin(), visible.end(), device) > 0) return {};
    visible.push_back(static_cast<int>(device));
    if (*end == '\0') break;
    entry = end + 1;
  }
  return visible;
}

Settings Read() {
  Settings settings = {};
  settings.visible = VisibleOf(static_cast<int>(NumberOr("TWOTOWER_DOUBLE_DEVICES", 2)));
  settings.machine = static_cast<int>(NumberOr("TWOTOWER_DOUBLE_MACHINE", 0));
  settings.memory = static_cast<size_t>(NumberOr("TWOTOWER_DOUBLE_MEMORY", 4LL << 30));
  settings.lockable = static_cast<size_t>(NumberOr("TWOTOWER_DOUBLE_LOCKABLE", 1LL << 50));
  settings.driver = static_cast<int>(NumberOr("TWOTOWER_DOUBLE_DRIVER", 13000));
  settings.nvjpeg = static_cast<int>(NumberOr("TWOTOWER_DOUBLE_NVJPEG", 13000));
  settings.capability = static_cast<int>(NumberOr("TWOTOWER_DOUBLE_CAPABILITY", 90));
  settings.has_peer_access = NumberOr("TWOTOWER_DOUBLE_PEER", 1) != 0;
  settings.lost_at = static_cast<long>(NumberOr("TWOTOWER_DOUBLE_LOST_AT", 0));
  settings.report = Text("TWOTOWER_DOUBLE_REPORT");
  const char* const fail = "TWOTOWER_DOUBLE_FAIL";
  const std::string failure = Text(fail);
  if (!failure.empty()) {
    const size_t first = failure.find(':');
    const size_t second = first == std::string::npos ? first : failure.find(':', first + 1);
    if (second == std::string::npos) Reject(fail, failure);
    settings.failing_symbol = failure.substr(0, first);
    const auto call = Number(fail, failure.substr(first + 1, second - first - 1));
    settings.failing_call = static_cast<long>(call);
    settings.failing_status = static_cast<int>(Number(fail, failure.substr(second + 1)));
  }
  return settings;
}

}  // namespace

const Settings& TheSettings() {
  // Never destroyed: the threads of streams may outlive static objects.
  static const Settings& settings = *new Settings(Read());
  return settings;
}

namespace {
[[maybe_unused]] const Settings& read_at_load = TheSettings();
}

}  // namespace cuda_double
