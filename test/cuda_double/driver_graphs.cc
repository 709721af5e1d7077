// The driver's functions of graphs: work that a stream has recorded.

#include <memory>

#include "driver.h"

namespace cuda_double {
namespace {

// What was recorded. An executable graph keeps it too.
struct Graph {
  int device;
  std::shared_ptr<const Stream::Recording> recording;
};

Handles<Graph>& Graphs() {
  static auto& graphs = *new Handles<Graph>();
  return graphs;
}

Handles<Graph>& Executables() {
  static auto& executables = *new Handles<Graph>();
  return executables;
}

void* Add(Handles<Graph>& handles, int device, std::shared_ptr<const Stream::Recording> recording) {
  return handles.Add(std::make_shared<Graph>(Graph{device, std::move(recording)}));
}

}  // namespace

int cuStreamBeginCapture_v2(void* stream, int mode) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto recording = StreamOf(stream);
    Require(mode == twotower::cuda::kCaptureRelaxed, kInvalidValue);
    Require(!recording->is_recording(), kCaptureUnsupported);
    recording->BeginRecording();
  });
}

int cuStreamEndCapture(void* stream, void** graph) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto recording = StreamOf(stream);
    Require(recording->is_recording(), kCaptureUnmatched);
    auto work = std::make_shared<const Stream::Recording>(recording->EndRecording());
    *graph = Add(Graphs(), recording->device, std::move(work));
  });
}

int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto recorded = Graphs().Find(graph);
    Require(recorded != nullptr, kInvalidHandle);
    Require(flags == 0, kInvalidValue);
    *executable = Add(Executables(), recorded->device, recorded->recording);
  });
}

int cuGraphLaunch(void* executable, void* stream) {
  return ContextCall(__func__, [&](Gpu&) {
    const auto launched = Executables().Find(executable);
    const auto target = StreamOf(stream);
    Require(launched != nullptr && launched->device == target->device, kInvalidHandle);
    for (const auto& make : *launched->recording) target->Enqueue(make());
  });
}

int cuGraphExecDestroy(void* executable) {
  return ContextCall(__func__, [&](Gpu&) {
    Require(Executables().Remove(executable) != nullptr, kInvalidHandle);
  });
}

int cuGraphDestroy(void* graph) {
  return ContextCall(
      __func__, [&](Gpu&) { Require(Graphs().Remove(graph) != nullptr, kInvalidHandle); });
}

}  // namespace cuda_double
