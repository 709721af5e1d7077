// A stream: a thread that does what was enqueued, in order.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_STREAM_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_STREAM_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace cuda_double {

// Opens once, when a stream has come to an event's record.
class Gate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void Open();
  void Wait();
  // When it opened; nothing before that.
  std::optional<Time> opened_at();

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  std::optional<Time> opened_at_;
};

class Stream {
 public:
  // The thread keeps the stream until it has ended.
  static std::shared_ptr<Stream> Start(int device);

  explicit Stream(int device) : device(device) {}

  void Enqueue(std::function<void()> work);

  // Work that was recorded, to be enqueued any number of times. Each is what `Record` took.
  using Maker = std::function<std::function<void()>()>;
  using Recording = std::vector<Maker>;

  // What is enqueued until EndRecording is kept instead.
  void BeginRecording();
  Recording EndRecording();
  bool is_recording();

  // As Enqueue, for work that must be made anew each time that it is enqueued.
  void EnqueueMade(Maker maker);

  // Waits for what has been enqueued so far.
  void Synchronize();
  // Whether all of that is done.
  bool IsIdle();

  // The thread ends when it has done everything.
  void End();

  const int device;

  // How many kernels were launched.
  uint64_t launches = 0;

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  uint64_t enqueued_ = 0;
  uint64_t done_ = 0;
  bool is_ending_ = false;
  std::optional<Recording> recording_;
};

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_STREAM_H_
