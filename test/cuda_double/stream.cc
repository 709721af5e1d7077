#include "stream.h"

#include <thread>
#include <utility>

namespace cuda_double {

void Gate::Open() {
  std::lock_guard<std::mutex> lock(mutex_);
  opened_at_ = std::chrono::steady_clock::now();
  opened_.notify_all();
}

void Gate::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  opened_.wait(lock, [this] { return opened_at_.has_value(); });
}

std::optional<Gate::Time> Gate::opened_at() {
  std::lock_guard<std::mutex> lock(mutex_);
  return opened_at_;
}

std::shared_ptr<Stream> Stream::Start(int device) {
  auto stream = std::make_shared<Stream>(device);
  std::thread([stream] { stream->Run(); }).detach();
  return stream;
}

void Stream::BeginRecording() {
  std::lock_guard<std::mutex> lock(mutex_);
  recording_.emplace();
}

Stream::Recording Stream::EndRecording() {
  std::lock_guard<std::mutex> lock(mutex_);
  Recording recording = std::move(*recording_);
  recording_.reset();
  return recording;
}

bool Stream::is_recording() {
  std::lock_guard<std::mutex> lock(mutex_);
  return recording_.has_value();
}

void Stream::EnqueueMade(Maker maker) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (recording_.has_value()) {
      recording_->push_back(std::move(maker));
      return;
    }
  }
  Enqueue(maker());
}

void Stream::Enqueue(std::function<void()> work) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (recording_.has_value()) {
    recording_->push_back([work = std::move(work)] { return work; });
    return;
  }
  waiting_.push_back(std::move(work));
  enqueued_++;
  changed_.notify_all();
}

void Stream::Synchronize() {
  std::unique_lock<std::mutex> lock(mutex_);
  const uint64_t last = enqueued_;
  changed_.wait(lock, [this, last] { return done_ >= last; });
}

bool Stream::IsIdle() {
  std::lock_guard<std::mutex> lock(mutex_);
  return done_ == enqueued_;
}

void Stream::End() {
  std::lock_guard<std::mutex> lock(mutex_);
  is_ending_ = true;
  changed_.notify_all();
}

void Stream::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !waiting_.empty() || is_ending_; });
    if (waiting_.empty()) return;
    std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    // What the work holds is freed before anybody is told that it is done.
    work = nullptr;
    lock.lock();
    done_++;
    changed_.notify_all();
  }
}

}  // namespace cuda_double
