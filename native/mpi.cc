// mpi: an addon through which processes on many hosts exchange bytes, over MPI; src/parallel/process_group.ts loads it.
//
// A process has one MPI. Its groups (communicators) and the operations under way are numbered, and any thread of the
// process may use those numbers. An operation returns a ticket at once. Its memory belongs to MPI until a wait for the
// ticket says that it is done.
//
// - Collectives are carried out by one communication thread per group, in the order in which they were begun. MPI moves
//   bytes only inside calls, so that thread is what lets communication go on while others compute. It begins a sum once
//   its values are there, which a GPU's copies say by a word in memory.
// - Messages move while somebody waits for them.
//
// Nobody waits inside MPI: a blocking call would keep a core busy, and could not be given up. Sums in the memory of GPUs are
// the exception: Open MPI has them in blocking calls alone. A process that is to end does not wait for its threads.
//
// The memory of a sum is that of the JavaScript thread that began it. If the thread ends, because it has failed, its sums
// that MPI has not begun are dropped.

#include <dlfcn.h>
#include <mpi.h>
#include <node_api.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bindings.h"

// Of Open MPI's extensions; MPICH declares what it has in mpi.h.
#ifdef OPEN_MPI
#include <mpi-ext.h>
#endif

namespace twotower {
namespace {

using Clock = std::chrono::steady_clock;

// What is larger is cut into pieces: they overlap better with computing than a whole.
constexpr size_t kPieceBytes = 4 << 20;

// Of a sum in the host's memory several smaller ones are under way, so that a link is not idle while the hosts agree on the
// next message of one. Among four hosts at 1 Gbit/s they take 8 % less time than pieces of 4 MB, one after another.
constexpr size_t kSumPieceBytes = 2 << 20;
constexpr size_t kPiecesUnderWay = 8;

// Between two looks at an operation: at first short, for small messages, then easy on the cores.
constexpr useconds_t kShortestSleep = 10;
constexpr useconds_t kLongestSleep = 100;

// How long the end of a thread waits for a sum of its own that is under way. Without its peers the sum never ends.
constexpr std::chrono::seconds kLastSum{1};

// Of the system's monotonic clock, as src/clock.ts has them.
double Microseconds() {
  return std::chrono::duration<double, std::micro>(Clock::now().time_since_epoch()).count();
}

void Check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw std::runtime_error(std::string(what) + ": " + std::string(text, length));
}

// Polls `request` until it is done or the time is up. Returns whether it is done.
bool Poll(MPI_Request* request, Clock::time_point until) {
  useconds_t sleep = kShortestSleep;
  for (;;) {
    int done = 0;
    Check(MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done) return true;
    if (Clock::now() >= until) return false;
    usleep(sleep);
    sleep = std::min(2 * sleep, kLongestSleep);
  }
}

// Something under way. `Wait` may be called from any thread, by one at a time.
class Operation {
 public:
  virtual ~Operation() = default;
  // Returns whether it is done by then; throws what went wrong.
  virtual bool Wait(Clock::time_point until) = 0;
};

// A message that is being sent or received.
class Message : public Operation {
 public:
  MPI_Request request = MPI_REQUEST_NULL;

  bool Wait(Clock::time_point until) override { return Poll(&request, until); }
};

// A collective; its group's communication thread carries it out.
class Collective : public Operation {
 public:
  bool Wait(Clock::time_point until) override {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_until(lock, until, [this] { return is_done_; })) return false;
    if (!failure_.empty()) throw std::runtime_error(failure_);
    return true;
  }

  void Finish(const std::string& failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    is_done_ = true;
    failure_ = failure;
    changed_.notify_all();
  }

  virtual void CarryOut(MPI_Comm communicator) = 0;

  // The thread that has begun it.
  napi_env owner = nullptr;

  // Gets when it began and ended; null if nobody asks.
  double* times = nullptr;

  // Not 0 once its values are there; null if they are from the start.
  const int32_t* ready = nullptr;

  bool IsReady() const { return ready == nullptr || __atomic_load_n(ready, __ATOMIC_ACQUIRE) != 0; }

 protected:
  static void Complete(MPI_Request request) { Poll(&request, Clock::time_point::max()); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_done_ = false;
  std::string failure_;
};

class AllReduce : public Collective {
 public:
  AllReduce(Span<uint8_t> bytes, MPI_Datatype type, size_t element)
      : bytes_(bytes), type_(type), element_(element) {}

  void CarryOut(MPI_Comm communicator) override {
    std::deque<MPI_Request> pieces;
    for (size_t at = 0; at < bytes_.length; at += kSumPieceBytes) {
      if (pieces.size() == kPiecesUnderWay) {
        Complete(pieces.front());
        pieces.pop_front();
      }
      const size_t count = std::min(kSumPieceBytes, bytes_.length - at) / element_;
      Check(MPI_Iallreduce(MPI_IN_PLACE, bytes_.data + at, static_cast<int>(count), type_, MPI_SUM,
                           communicator, &pieces.emplace_back()),
            "MPI_Iallreduce");
    }
    for (const MPI_Request piece : pieces) Complete(piece);
  }

 private:
  Span<uint8_t> bytes_;
  MPI_Datatype type_;
  size_t element_;
};

// The sum of numbers in the memory of GPUs, by an MPI that reads it. It is made in other memory than the numbers': sums in place
// have failed in some versions of Open MPI.
class AllReduceOnGpu : public Collective {
 public:
  AllReduceOnGpu(const float* from, float* to, size_t length, void* context)
      : from_(from), to_(to), length_(length), context_(context) {}

  void CarryOut(MPI_Comm communicator) override {
    UseContext();
    constexpr size_t kPiece = kPieceBytes / sizeof(float);
    for (size_t at = 0; at < length_; at += kPiece) {
      const size_t count = std::min(kPiece, length_ - at);
      Check(MPI_Allreduce(from_ + at, to_ + at, static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                          communicator),
            "MPI_Allreduce");
    }
  }

 private:
  // MPI's copies are those of the calling thread's GPU. The process has opened the driver, unless a test has another one.
  void UseContext() const {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (driver == nullptr) return;
    const auto set = reinterpret_cast<int (*)(void*)>(dlsym(driver, "cuCtxSetCurrent"));
    const int status = set == nullptr ? 0 : set(context_);
    dlclose(driver);
    if (status == 0) return;
    throw std::runtime_error("cuCtxSetCurrent: status " + std::to_string(status));
  }

  const float* from_;
  float* to_;
  size_t length_;
  void* context_;
};

class Broadcast : public Collective {
 public:
  Broadcast(Span<uint8_t> bytes, int root) : bytes_(bytes), root_(root) {}

  void CarryOut(MPI_Comm communicator) override {
    for (size_t at = 0; at < bytes_.length; at += kPieceBytes) {
      const size_t count = std::min(kPieceBytes, bytes_.length - at);
      MPI_Request request;
      Check(MPI_Ibcast(bytes_.data + at, static_cast<int>(count), MPI_BYTE, root_, communicator,
                       &request),
            "MPI_Ibcast");
      Complete(request);
    }
  }

 private:
  Span<uint8_t> bytes_;
  int root_;
};

class Barrier : public Collective {
 public:
  void CarryOut(MPI_Comm communicator) override {
    MPI_Request request;
    Check(MPI_Ibarrier(communicator, &request), "MPI_Ibarrier");
    Complete(request);
  }
};

// A communicator with its communication thread, which the first collective starts.
class Group {
 public:
  explicit Group(MPI_Comm communicator) : communicator_(communicator) {
    MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN);
  }

  MPI_Comm communicator() const { return communicator_; }

  // Drops what the thread has begun, which ends and frees its memory.
  void Abandon(napi_env owner) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto is_its = [owner](const auto& one) { return one != nullptr && one->owner == owner; };
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_its), waiting_.end());
    if (!is_its(current_)) return;
    is_abandoned_ = true;
    changed_.wait_for(lock, kLastSum, [&] { return !is_its(current_); });
    if (is_its(current_)) current_->times = nullptr;
  }

  void Begin(std::shared_ptr<Collective> collective) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
    waiting_.push_back(std::move(collective));
    changed_.notify_all();
  }

  // Ends the thread once it has done what was begun, but for sums whose values are not there: a GPU that has failed leaves
  // some behind.
  void Stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() {
    for (;;) {
      std::shared_ptr<Collective> collective;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return is_stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        collective = waiting_.front();
        waiting_.pop_front();
        current_ = collective;
        is_abandoned_ = false;
      }
      const double began = AwaitValues(*collective);
      const std::string failure = is_abandoned_ ? "abandoned" : FailureOf(*collective);
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (collective->times != nullptr) {
          collective->times[0] = began;
          collective->times[1] = Microseconds();
        }
        current_ = nullptr;
      }
      changed_.notify_all();
      collective->Finish(failure);
    }
  }

  // Returns when the collective's values are there, with the time, or when nobody waits for it any more.
  double AwaitValues(const Collective& collective) {
    while (!is_abandoned_ && !collective.IsReady()) {
      if (is_stopping_) is_abandoned_ = true;
      usleep(kLongestSleep);
    }
    return Microseconds();
  }

  // Carries the collective out. Returns what went wrong, if anything did.
  std::string FailureOf(Collective& collective) const {
    try {
      collective.CarryOut(communicator_);
      return "";
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  MPI_Comm communicator_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Collective>> waiting_;
  // What the thread is at; null if it waits for more.
  std::shared_ptr<Collective> current_;
  // Read without the mutex too.
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> is_abandoned_{false};
  std::thread thread_;
};

// All groups and operations of the process. It is never destroyed, because the process may end while a communication
// thread still waits.
struct Registry {
  std::mutex mutex;
  std::vector<Group*> groups;
  std::map<int64_t, std::shared_ptr<Operation>> operations;
  int64_t tickets = 0;
};

Registry& TheRegistry() {
  static Registry* registry = new Registry;
  return *registry;
}

int AddGroup(MPI_Comm communicator) {
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  registry.groups.push_back(new Group(communicator));
  return static_cast<int>(registry.groups.size()) - 1;
}

Group& GroupAt(const Arguments& arguments, size_t index) {
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  const int64_t last = static_cast<int64_t>(registry.groups.size()) - 1;
  return *registry.groups[arguments.Integer(index, "group", 0, last)];
}

napi_value AddOperation(const Arguments& arguments, std::shared_ptr<Operation> operation) {
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  registry.operations[++registry.tickets] = std::move(operation);
  return arguments.Number(static_cast<double>(registry.tickets));
}

std::shared_ptr<Operation> OperationAt(int64_t ticket) {
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.operations.find(ticket);
  if (found == registry.operations.end()) throw RangeError("no operation has this ticket");
  return found->second;
}

void RemoveOperation(int64_t ticket) {
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  registry.operations.erase(ticket);
}

// Waits; what is done, well or not, gives its ticket back.
bool WaitFor(int64_t ticket, double milliseconds) {
  const auto until = Clock::now() + std::chrono::microseconds(int64_t(1000 * milliseconds));
  try {
    if (!OperationAt(ticket)->Wait(until)) return false;
  } catch (...) {
    RemoveOperation(ticket);
    throw;
  }
  RemoveOperation(ticket);
  return true;
}

constexpr int64_t kMostTickets = int64_t(1) << 53;
constexpr double kMostMs = 1e12;

int64_t TicketIn(const Arguments& arguments, size_t index) {
  return arguments.Integer(index, "ticket", 1, kMostTickets);
}

double MillisecondsIn(const Arguments& arguments, size_t index) {
  return std::min(std::max(arguments.Number(index, "milliseconds"), 0.0), kMostMs);
}

int SizeOf(const Group& group) {
  int size = 0;
  Check(MPI_Comm_size(group.communicator(), &size), "MPI_Comm_size");
  return size;
}

int PeerIn(const Arguments& arguments, size_t index, const Group& group) {
  return static_cast<int>(arguments.Integer(index, "rank", 0, SizeOf(group) - 1));
}

// Of a message: MPI counts in int.
Span<uint8_t> BytesIn(const Arguments& arguments, size_t index) {
  const Span<uint8_t> bytes = arguments.Bools(index, "bytes");
  if (bytes.length >= (size_t(1) << 31)) throw RangeError("a message has less than 2 GiB");
  return bytes;
}

constexpr int64_t kLargestTag = 32767;

// init(): initializes MPI unless it is, and returns the number of the group of all processes.
napi_value Init(Arguments& arguments) {
  int is_initialized = 0;
  Check(MPI_Initialized(&is_initialized), "MPI_Initialized");
  if (!is_initialized) {
    int level = 0;
    Check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level), "MPI_Init_thread");
    AddGroup(MPI_COMM_WORLD);
  }
  return arguments.Number(0);
}

// threadLevel(): of MPI_THREAD_SINGLE, FUNNELED, SERIALIZED, MULTIPLE the position of the one granted.
napi_value ThreadLevel(Arguments& arguments) {
  int level = 0;
  Check(MPI_Query_thread(&level), "MPI_Query_thread");
  const int levels[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED,
                        MPI_THREAD_MULTIPLE};
  const int* found = std::find(std::begin(levels), std::end(levels), level);
  return arguments.Number(static_cast<double>(found - levels));
}

// version(): the library's name and version. MPI need not be initialized.
napi_value Version(Arguments& arguments) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  Check(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  napi_value result;
  napi_create_string_utf8(arguments.env(), text, std::strlen(text), &result);
  return result;
}

// rank(group), size(group)
napi_value Rank(Arguments& arguments) {
  int rank = 0;
  Check(MPI_Comm_rank(GroupAt(arguments, 0).communicator(), &rank), "MPI_Comm_rank");
  return arguments.Number(rank);
}

napi_value Size(Arguments& arguments) { return arguments.Number(SizeOf(GroupAt(arguments, 0))); }

// split(group, colour, key): the new group of the processes that gave the same colour. Blocks until all have called it.
napi_value Split(Arguments& arguments) {
  const int colour = static_cast<int>(arguments.Integer(1, "colour", 0, INT32_MAX));
  const int key = static_cast<int>(arguments.Integer(2, "key", 0, INT32_MAX));
  MPI_Comm communicator;
  Check(MPI_Comm_split(GroupAt(arguments, 0).communicator(), colour, key, &communicator),
        "MPI_Comm_split");
  return arguments.Number(AddGroup(communicator));
}

napi_value Begin(const Arguments& arguments, Group& group, std::shared_ptr<Collective> collective) {
  collective->owner = arguments.env();
  group.Begin(collective);
  return AddOperation(arguments, std::move(collective));
}

// `times`, the bytes of two doubles or none, gets when the communication thread began and ended a sum, in microseconds.
// `ready`, the bytes of an integer or none, is not 0 once the numbers are there.
void ReadOptions(const Arguments& arguments, size_t first, Collective& sum) {
  const Span<uint8_t> times = arguments.Bools(first, "times");
  if (times.length != 0 && times.length != 2 * sizeof(double)) {
    throw RangeError("times has 16 bytes or none");
  }
  const Span<uint8_t> ready = arguments.Bools(first + 1, "ready");
  if (ready.length != 0 && ready.length != sizeof(int32_t)) {
    throw RangeError("ready has 4 bytes or none");
  }
  if (times.length > 0) sum.times = reinterpret_cast<double*>(times.data);
  if (ready.length > 0) sum.ready = reinterpret_cast<int32_t*>(ready.data);
}

// allReduce(group, bytes, type, times, ready): replaces numbers of type 'float32' or 'float64' by their sum over all
// processes.
napi_value AllReduceBytes(Arguments& arguments) {
  const Span<uint8_t> bytes = arguments.Bools(1, "bytes");
  const bool is_double = arguments.Choice(2, "type", {"float32", "float64"}) == 1;
  auto sum = std::make_shared<AllReduce>(bytes, is_double ? MPI_DOUBLE : MPI_FLOAT,
                                         is_double ? sizeof(double) : sizeof(float));
  ReadOptions(arguments, 3, *sum);
  return Begin(arguments, GroupAt(arguments, 0), std::move(sum));
}

// readsGpuMemory(): whether MPI says that it does. MPI must be initialized.
napi_value ReadsGpuMemory(Arguments& arguments) {
#if defined(MPIX_CUDA_AWARE_SUPPORT) || defined(MPIX_GPU_SUPPORT_CUDA)
  return arguments.Boolean(MPIX_Query_cuda_support() == 1);
#else
  return arguments.Boolean(false);
#endif
}

template <typename Target>
Target* AddressIn(const Arguments& arguments, size_t index, const char* name) {
  uint64_t address = 0;
  bool is_lossless = false;
  if (napi_get_value_bigint_uint64(arguments.env(), arguments[index], &address, &is_lossless) !=
      napi_ok) {
    throw TypeError(std::string(name) + " must be a BigInt");
  }
  return reinterpret_cast<Target*>(address);
}

constexpr int64_t kMostFloats = int64_t(1) << 48;

// allReduceOnGpu(group, from, to, length, context, times, ready): the sum of as many float32 in the memory of the GPU with this
// context, as `allReduce`.
napi_value AllReduceBytesOnGpu(Arguments& arguments) {
  auto sum = std::make_shared<AllReduceOnGpu>(
      AddressIn<const float>(arguments, 1, "from"), AddressIn<float>(arguments, 2, "to"),
      static_cast<size_t>(arguments.Integer(3, "length", 0, kMostFloats)),
      AddressIn<void>(arguments, 4, "context"));
  ReadOptions(arguments, 5, *sum);
  return Begin(arguments, GroupAt(arguments, 0), std::move(sum));
}

// broadcast(group, bytes, root)
napi_value BroadcastBytes(Arguments& arguments) {
  Group& group = GroupAt(arguments, 0);
  const int root = PeerIn(arguments, 2, group);
  return Begin(arguments, group, std::make_shared<Broadcast>(arguments.Bools(1, "bytes"), root));
}

// barrier(group)
napi_value BarrierOf(Arguments& arguments) {
  return Begin(arguments, GroupAt(arguments, 0), std::make_shared<Barrier>());
}

// send(group, bytes, to, tag)
napi_value Send(Arguments& arguments) {
  const Group& group = GroupAt(arguments, 0);
  const Span<uint8_t> bytes = BytesIn(arguments, 1);
  const int to = PeerIn(arguments, 2, group);
  const int tag = static_cast<int>(arguments.Integer(3, "tag", 0, kLargestTag));
  auto message = std::make_shared<Message>();
  Check(MPI_Isend(bytes.data, static_cast<int>(bytes.length), MPI_BYTE, to, tag,
                  group.communicator(), &message->request),
        "MPI_Isend");
  return AddOperation(arguments, message);
}

// receive(group, bytes, from, tag): exactly as many bytes as were sent.
napi_value Receive(Arguments& arguments) {
  const Group& group = GroupAt(arguments, 0);
  const Span<uint8_t> bytes = BytesIn(arguments, 1);
  const int from = PeerIn(arguments, 2, group);
  const int tag = static_cast<int>(arguments.Integer(3, "tag", 0, kLargestTag));
  auto message = std::make_shared<Message>();
  Check(MPI_Irecv(bytes.data, static_cast<int>(bytes.length), MPI_BYTE, from, tag,
                  group.communicator(), &message->request),
        "MPI_Irecv");
  return AddOperation(arguments, message);
}

// wait(ticket, milliseconds): whether the operation is done by then.
napi_value Wait(Arguments& arguments) {
  return arguments.Boolean(WaitFor(TicketIn(arguments, 0), MillisecondsIn(arguments, 1)));
}

// The wait of `finished`, in a thread of libuv's pool.
struct Finishing {
  int64_t ticket;
  double milliseconds;
  bool is_done = false;
  std::string failure;
  napi_deferred promise;
  napi_async_work work;
};

void WaitInPool(napi_env, void* data) {
  auto* finishing = static_cast<Finishing*>(data);
  try {
    finishing->is_done = WaitFor(finishing->ticket, finishing->milliseconds);
  } catch (const std::exception& error) {
    finishing->failure = error.what();
  }
}

void SettlePromise(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Finishing> finishing(static_cast<Finishing*>(data));
  napi_delete_async_work(env, finishing->work);
  napi_value result;
  if (finishing->failure.empty()) {
    napi_get_boolean(env, finishing->is_done, &result);
    napi_resolve_deferred(env, finishing->promise, result);
    return;
  }
  napi_value message;
  napi_create_string_utf8(env, finishing->failure.c_str(), NAPI_AUTO_LENGTH, &message);
  napi_create_error(env, nullptr, message, &result);
  napi_reject_deferred(env, finishing->promise, result);
}

// finished(ticket, milliseconds): a promise of what `wait` returns.
napi_value Finished(Arguments& arguments) {
  auto finishing = std::make_unique<Finishing>();
  finishing->ticket = TicketIn(arguments, 0);
  finishing->milliseconds = MillisecondsIn(arguments, 1);
  const napi_env env = arguments.env();
  napi_value promise, name;
  napi_create_string_utf8(env, "mpi", NAPI_AUTO_LENGTH, &name);
  napi_create_promise(env, &finishing->promise, &promise);
  napi_create_async_work(env, nullptr, name, WaitInPool, SettlePromise, finishing.get(),
                         &finishing->work);
  napi_queue_async_work(env, finishing.release()->work);
  return promise;
}

// How long MPI may take to end the processes.
constexpr unsigned kAbortSeconds = 2;

// abort(code): ends all processes of the world. MPI_Abort may wait for a launcher that does not answer, so that this
// process then ends by itself.
napi_value Abort(Arguments& arguments) {
  const int code = static_cast<int>(arguments.Integer(0, "code", 1, 255));
  std::thread([code] {
    sleep(kAbortSeconds);
    _exit(code);
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, code);
  return nullptr;
}

// finalize(): blocks until all processes have called it and nothing is under way.
napi_value Finalize(Arguments&) {
  Registry& registry = TheRegistry();
  for (Group* group : registry.groups) group->Stop();
  Check(MPI_Finalize(), "MPI_Finalize");
  return nullptr;
}

// At the end of a JavaScript thread.
void AbandonOperations(void* env) {
  Registry& registry = TheRegistry();
  std::vector<Group*> groups;
  {
    std::lock_guard<std::mutex> lock(registry.mutex);
    groups = registry.groups;
  }
  for (Group* group : groups) group->Abandon(static_cast<napi_env>(env));
}

const Export kFunctions[] = {
    {"init", Init, 0},
    {"threadLevel", ThreadLevel, 0},
    {"version", Version, 0},
    {"rank", Rank, 1},
    {"size", Size, 1},
    {"split", Split, 3},
    {"allReduce", AllReduceBytes, 5},
    {"readsGpuMemory", ReadsGpuMemory, 0},
    {"allReduceOnGpu", AllReduceBytesOnGpu, 7},
    {"broadcast", BroadcastBytes, 3},
    {"barrier", BarrierOf, 1},
    {"send", Send, 4},
    {"receive", Receive, 4},
    {"wait", Wait, 2},
    {"finished", Finished, 2},
    {"abort", Abort, 1},
    {"finalize", Finalize, 0},
};

}  // namespace
}  // namespace twotower

NAPI_MODULE_INIT() {
  using twotower::kFunctions;
  napi_add_env_cleanup_hook(env, twotower::AbandonOperations, env);
  twotower::Define(env, exports, kFunctions, sizeof(kFunctions) / sizeof(kFunctions[0]));
  return exports;
}
