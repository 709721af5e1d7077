// Divides loops among the calling thread's OpenMP team.

#ifndef TWOTOWER_NATIVE_PARALLEL_H_
#define TWOTOWER_NATIVE_PARALLEL_H_

#include <omp.h>

#include <algorithm>
#include <cstddef>
#if defined(__SANITIZE_THREAD__)
#include <thread>
#include <vector>
#endif

namespace twotower {

// Calls `body(begin, end)` on parts of 0 … count − 1, in parallel. `cost` is the cost of one index, in elements read or
// written. Loops of less than some tens of microseconds run in the calling thread alone.
template <typename Body>
void Parallel(size_t count, size_t cost, const Body& body) {
  constexpr size_t kWorthATeam = 32768;
  const size_t threads =
      std::min<size_t>(omp_get_max_threads(), std::max<size_t>(1, count * cost / kWorthATeam));
  if (threads <= 1) {
    if (count > 0) body(size_t{0}, count);
    return;
  }
  const auto part = [&](size_t rank, size_t team) {
    const size_t begin = count * rank / team;
    const size_t end = count * (rank + 1) / team;
    if (begin < end) body(begin, end);
  };
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer does not understand how an OpenMP team synchronizes, only std::thread.
  std::vector<std::thread> team;
  for (size_t rank = 1; rank < threads; rank++) team.emplace_back(part, rank, threads);
  part(0, threads);
  for (std::thread& one : team) one.join();
#else
#pragma omp parallel num_threads(threads)
  part(omp_get_thread_num(), omp_get_num_threads());
#endif
}

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_PARALLEL_H_
