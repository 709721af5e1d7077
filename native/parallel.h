// Loops divided among the calling thread's OpenMP team.

#ifndef TWOTOWER_NATIVE_PARALLEL_H_
#define TWOTOWER_NATIVE_PARALLEL_H_

#include <omp.h>

#include <algorithm>
#include <cstddef>

namespace twotower {

// Calls `body(begin, end)` on parts of 0 … count − 1, at once. `cost` is what one index costs, in
// elements that are read or written; a team is not woken for less than some tens of microseconds.
template <typename Body>
void Parallel(size_t count, size_t cost, const Body& body) {
  constexpr size_t kWorthATeam = 32768;
  const size_t threads =
      std::min<size_t>(omp_get_max_threads(), std::max<size_t>(1, count * cost / kWorthATeam));
  if (threads <= 1) {
    if (count > 0) body(size_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const size_t team = omp_get_num_threads();
    const size_t rank = omp_get_thread_num();
    const size_t begin = count * rank / team;
    const size_t end = count * (rank + 1) / team;
    if (begin < end) body(begin, end);
  }
}

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_PARALLEL_H_
