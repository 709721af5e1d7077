// What functions cost, to decide whether a loop is worth a team (parallel.h).

#ifndef TWOTOWER_NATIVE_CPU_COSTS_H_
#define TWOTOWER_NATIVE_CPU_COSTS_H_

#include <cstddef>

namespace twotower {

// Cost of a function per element, in elements read or written.
constexpr size_t kCheap = 3;
constexpr size_t kTranscendental = 16;

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_CPU_COSTS_H_
