// Work that is recorded and then done again and again, at the cost of one call (CUDA graphs).

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "device.h"
#include "libraries.h"

namespace twotower::cuda {
namespace {

// Dropout layers of all ranks of a worker.
constexpr size_t kMostKeys = 256;

}  // namespace

void Device::BeginGraph() {
  if (is_recording()) throw std::runtime_error("work is recorded already");
  // Constants are written beside the stream, perhaps to memory that earlier work still reads.
  Synchronize();
  GrowArena();
  auto graph = std::make_unique<Graph>();
  graph->arena_generation = arena_generation_;
  CheckDriver(TheDriver().streamBeginCapture(stream_, kCaptureRelaxed), "cuStreamBeginCapture");
  recorded_ = std::move(graph);
}

std::unique_ptr<Device::Graph> Device::EndGraph() {
  if (!is_recording()) throw std::runtime_error("no work is recorded");
  std::unique_ptr<Graph> graph = std::move(recorded_);
  void* captured = nullptr;
  const Driver& driver = TheDriver();
  try {
    CheckDriver(driver.streamEndCapture(stream_, &captured), "cuStreamEndCapture");
    CheckDriver(driver.graphInstantiate(&graph->executable, captured, 0),
                "cuGraphInstantiateWithFlags");
  } catch (...) {
    if (captured != nullptr) driver.graphDestroy(captured);
    Free(graph->keys);
    throw;
  }
  CheckDriver(driver.graphDestroy(captured), "cuGraphDestroy");
  return graph;
}

void Device::AbandonGraph() {
  if (!is_recording()) return;
  const std::unique_ptr<Graph> graph = std::move(recorded_);
  void* captured = nullptr;
  // Its status says only that what was recorded is of no use.
  TheDriver().streamEndCapture(stream_, &captured);
  if (captured != nullptr) TheDriver().graphDestroy(captured);
  Free(graph->keys);
}

bool Device::Repeat(const Graph& graph, const int32_t* keys, size_t count) {
  if (count != 2 * graph.key_count) {
    throw std::runtime_error("keys must be two numbers for each dropout mask");
  }
  if (graph.arena_generation != arena_generation_) return false;
  Write(reinterpret_cast<void*>(graph.keys), keys, count * sizeof(int32_t));
  CheckDriver(TheDriver().graphLaunch(graph.executable, stream_), "cuGraphLaunch");
  return true;
}

void Device::FreeGraph(Graph& graph) {
  if (graph.executable == nullptr) return;
  CheckDriver(TheDriver().graphExecDestroy(graph.executable), "cuGraphExecDestroy");
  graph.executable = nullptr;
  Free(graph.keys);
}

const uint32_t* Device::NextKeyPlace() {
  if (!is_recording()) return nullptr;
  if (recorded_->keys == 0) recorded_->keys = Allocate(2 * kMostKeys * sizeof(uint32_t));
  if (recorded_->key_count == kMostKeys) throw std::runtime_error("too many dropout masks");
  return reinterpret_cast<const uint32_t*>(recorded_->keys) + 2 * recorded_->key_count++;
}

}  // namespace twotower::cuda
