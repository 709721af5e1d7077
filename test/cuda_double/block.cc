// Threads of a block are fibers, so that they can wait for each other on one thread of the host. Few kernels have barriers, so
// that is tried with one of the block's threads: if it meets none, the others are run as plain calls.

#include "block.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace cuda_double {

__thread Position position;

namespace {

[[noreturn]] void Die(const char* message) {
  std::fprintf(stderr, "CUDA double: %s (block %u, %u, %u, thread %u, %u, %u)\n", message,
               position.block.x, position.block.y, position.block.z, position.thread.x,
               position.thread.y, position.thread.z);
  std::abort();
}

// Saved registers of a fiber or of the thread that runs them.
#if defined(__x86_64__)

struct Context {
  void* stack = nullptr;
};

// Keeps the registers that a function must preserve on the stack, and goes on with another stack. swapcontext makes a system
// call each time, which takes longer than most kernels between two barriers.
extern "C" void cuda_double_switch(void** from, void* to);
asm(R"(
.text
.globl cuda_double_switch
.hidden cuda_double_switch
.type cuda_double_switch, @function
cuda_double_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_double_switch, . - cuda_double_switch
)");

void Switch(Context& from, Context& to) { cuda_double_switch(&from.stack, to.stack); }

void Prepare(Context& context, char* stack, size_t bytes, void (*entry)()) {
  // The switch pops six registers and the entry. A function expects its return address at 8 modulo 16.
  void** top = reinterpret_cast<void**>(stack + bytes) - 1;
  *top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  context.stack = top;
}

#else

using Context = ucontext_t;

void Switch(Context& from, Context& to) { swapcontext(&from, &to); }

void Prepare(Context& context, char* stack, size_t bytes, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = bytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}

#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

void EnterFiber();

class Fiber {
 public:
  explicit Fiber(size_t index) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_bytes_ = page + kStackBytes;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) Die("no memory for the stacks of a block's threads");
    // A stack that overflows ends the process.
    mprotect(mapped_, page, PROT_NONE);
    stack_ = static_cast<char*>(mapped_) + page;
    // The stacks begin at different places of a page, so that the cache can hold the ends of all.
    bytes_ = kStackBytes - index % 32 * 128;
    Prepare(context, stack_, bytes_, EnterFiber);
#if defined(__SANITIZE_THREAD__)
    tsan_ = __tsan_create_fiber(0);
#endif
  }

  ~Fiber() {
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(tsan_);
#endif
#if defined(__SANITIZE_ADDRESS__)
    // Else the next owner of these addresses would inherit what the fiber's frames forbid.
    __asan_unpoison_memory_region(mapped_, mapped_bytes_);
#endif
    munmap(mapped_, mapped_bytes_);
  }

  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the fiber until it yields.
  void Resume() {
#if defined(__SANITIZE_THREAD__)
    host_tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void* kept;
    __sanitizer_start_switch_fiber(&kept, stack_, bytes_);
#endif
    Switch(host, context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(kept, nullptr, nullptr);
#endif
  }

  // Called on the fiber: returns when it is resumed.
  void Yield() {
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(host_tsan_, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void* kept;
    __sanitizer_start_switch_fiber(&kept, host_stack_, host_bytes_);
#endif
    Switch(context, host);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(kept, &host_stack_, &host_bytes_);
#endif
  }

  // Called on the fiber when it first runs.
  void Entered() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &host_stack_, &host_bytes_);
#endif
  }

 private:
  Context context;
  Context host;
  void* mapped_;
  size_t mapped_bytes_;
  char* stack_;
  size_t bytes_;
#if defined(__SANITIZE_ADDRESS__)
  const void* host_stack_ = nullptr;
  size_t host_bytes_ = 0;
#endif
#if defined(__SANITIZE_THREAD__)
  void* tsan_;
  void* host_tsan_ = nullptr;
#endif
};

class BlockRunner {
 public:
  void Run(const std::function<void()>& kernel, bool is_reversed) {
    const size_t count =
        static_cast<size_t>(position.threads.x) * position.threads.y * position.threads.z;
    kernel_ = &kernel;
    finished_ = 0;
    Resume(is_reversed ? count - 1 : 0);
    if (finished_ == 1) {
      for (size_t i = 1; i < count; i++) {
        SetThread(is_reversed ? count - 1 - i : i);
        kernel();
      }
      return;
    }
    for (size_t i = 1; i < count; i++) Resume(is_reversed ? count - 1 - i : i);
    while (finished_ == 0) {
      // Whatever lacks a barrier then reads too early or too late in one of the two orders.
      is_reversed = !is_reversed;
      for (size_t i = 0; i < count; i++) Resume(is_reversed ? count - 1 - i : i);
    }
    if (finished_ != count) DieOfBarriers();
  }

  void AtBarrier() {
    if (running_ == nullptr) DieOfBarriers();
    running_->Yield();
  }

  // What a fiber does for ever.
  void RunThreads() {
    Fiber* fiber = running_;
    fiber->Entered();
    for (;;) {
      (*kernel_)();
      finished_++;
      fiber->Yield();
    }
  }

 private:
  [[noreturn]] static void DieOfBarriers() {
    Die("the threads of a block met different numbers of barriers");
  }

  static void SetThread(size_t index) {
    const Dimensions& threads = position.threads;
    const auto thread = static_cast<unsigned>(index);
    position.thread = {thread % threads.x, thread / threads.x % threads.y,
                       thread / threads.x / threads.y};
  }

  void Resume(size_t index) {
    while (fibers_.size() <= index) fibers_.push_back(std::make_unique<Fiber>(fibers_.size()));
    SetThread(index);
    running_ = fibers_[index].get();
    running_->Resume();
    running_ = nullptr;
  }

  std::vector<std::unique_ptr<Fiber>> fibers_;
  const std::function<void()>* kernel_ = nullptr;
  Fiber* running_ = nullptr;
  size_t finished_ = 0;
};

BlockRunner& Runner() {
  thread_local BlockRunner runner;
  return runner;
}

void EnterFiber() { Runner().RunThreads(); }

}  // namespace

void Barrier() { Runner().AtBarrier(); }

void RunGrid(const std::function<void()>& kernel, Dimensions blocks, Dimensions threads,
             bool is_reversed) {
  position.blocks = blocks;
  position.threads = threads;
  const uint64_t count = static_cast<uint64_t>(blocks.x) * blocks.y * blocks.z;
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t block = is_reversed ? count - 1 - i : i;
    position.block = {static_cast<unsigned>(block % blocks.x),
                      static_cast<unsigned>(block / blocks.x % blocks.y),
                      static_cast<unsigned>(block / blocks.x / blocks.y)};
    Runner().Run(kernel, is_reversed != (block % 2 == 1));
  }
}

}  // namespace cuda_double
