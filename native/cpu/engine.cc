#include "engine.h"

#include <omp.h>

#include <csignal>
#include <new>
#include <string>
#include <utility>

namespace twotower {

using dnnl::memory;

namespace {

// Calls `work`, with oneDNN's error for a lack of memory as C++'s own.
template <typename Work>
auto WithoutMemoryErrors(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
    throw;
  }
}

// Holds back the signals of the calling thread, and of the team's threads that start meanwhile. The matrix products of
// oneDNN 2.6 keep numbers below the stack pointer, where a signal's handler overwrites them: a profiler's signals made
// products wrong and corrupted the heap.
class SignalsHeldBack {
 public:
  SignalsHeldBack() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsHeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

PreparedPrimitive::PreparedPrimitive(const dnnl::primitive& primitive,
                                     const memory::desc& scratchpad, std::vector<Operand> operands)
    : primitive_(primitive), scratchpad_(scratchpad), operands_(std::move(operands)) {
  const dnnl::engine& engine = Device::OfThread().engine();
  for (const Operand& operand : operands_) {
    if (operand.given == operand.wanted) {
      reorders_.emplace_back();
      continue;
    }
    const memory::desc& from = operand.is_output ? operand.wanted : operand.given;
    const memory::desc& to = operand.is_output ? operand.given : operand.wanted;
    reorders_.emplace_back(dnnl::reorder::primitive_desc(engine, from, engine, to));
  }
}

void PreparedPrimitive::Execute(std::initializer_list<const void*> arrays) {
  const SignalsHeldBack signals_held_back;
  Device& device = Device::OfThread();
  const dnnl::engine& engine = device.engine();
  std::unordered_map<int, memory> memories;
  std::vector<std::pair<memory, memory>> given_and_wanted;
  size_t index = 0;
  for (const void* array : arrays) {
    const Operand& operand = operands_[index];
    // oneDNN's memory is never const; it does not write to inputs.
    memory given(operand.given, engine, const_cast<void*>(array));
    memory wanted = given;
    if (reorders_[index]) {
      const auto purpose = static_cast<ScratchPurpose>(
          static_cast<size_t>(ScratchPurpose::kOperand0) + index);
      wanted = memory(operand.wanted, engine,
                      ScratchFor(purpose, operand.wanted.get_size()));
      if (!operand.is_output) reorders_[index].execute(device.stream(), given, wanted);
    }
    memories.emplace(operand.argument, wanted);
    given_and_wanted.emplace_back(given, wanted);
    index++;
  }
  if (scratchpad_.get_size() > 0) {
    void* own = ScratchFor(ScratchPurpose::kPrimitive, scratchpad_.get_size());
    memories.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_, engine, own));
  }
  WithoutMemoryErrors([&] { primitive_.execute(device.stream(), memories); });
  for (index = 0; index < operands_.size(); index++) {
    if (!reorders_[index] || !operands_[index].is_output) continue;
    auto& [given, wanted] = given_and_wanted[index];
    reorders_[index].execute(device.stream(), wanted, given);
  }
  device.stream().wait();
}

Device::Device() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) { SetThreads(1); }

void Device::SetThreads(int threads) { omp_set_num_threads(threads); }

int Device::Threads() const { return omp_get_max_threads(); }

Device& Device::OfThread() {
  static thread_local Device device;
  return device;
}

PreparedPrimitive& Device::Prepared(const std::string& key,
                                    const std::function<PreparedPrimitive()>& make) {
  // A primitive divides its work among the team when it is made.
  const std::string full_key = key + ' ' + std::to_string(Threads());
  const auto found = primitives_.find(full_key);
  if (found != primitives_.end()) return found->second;
  if (primitives_.size() >= kMaxPrimitives) primitives_.clear();
  return WithoutMemoryErrors(
      [&]() -> PreparedPrimitive& { return primitives_.emplace(full_key, make()).first->second; });
}

namespace {

#if defined(__x86_64__)
bool Has(dnnl::cpu_isa wanted) {
  // An instruction set's value has the bits of those that it includes.
  const auto bits = static_cast<unsigned>(wanted);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & bits) == bits;
}
#endif

}  // namespace

bool Device::MultipliesBfloat16() {
#if defined(__x86_64__)
  return Has(dnnl::cpu_isa::avx512_core_bf16);
#else
  return false;
#endif
}

bool Device::HasMatrixTiles() {
#if defined(__x86_64__)
  return Has(dnnl::cpu_isa::avx512_core_amx);
#else
  return false;
#endif
}

dnnl::primitive_attr AttributesOf(bool relu) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (relu) {
    dnnl::post_ops operations;
#if DNNL_VERSION_MAJOR >= 3
    operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
#else
    operations.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, 0.f, 0.f);
#endif
    attributes.set_post_ops(operations);
  }
  return attributes;
}

}  // namespace twotower
