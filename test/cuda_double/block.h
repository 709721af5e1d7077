// Runs the threads of a kernel's blocks on one thread of the host.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_BLOCK_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_BLOCK_H_

#include <cstdint>
#include <functional>

namespace cuda_double {

struct Dimensions {
  unsigned x, y, z;
};

// Of the GPU's thread that is running: its indices and the sizes of the launch.
struct Position {
  Dimensions thread, block, threads, blocks;
};

// __thread, because a thread_local variable of another file is read by calling a function.
extern __thread Position position;

// Waits for the other threads of the block.
void Barrier();

// Runs a kernel on every block of the grid, one after the other. Blocks and threads have no order in CUDA, so launches
// alternate between two: `is_reversed` begins with the last. Ends the process if the threads of a block meet different numbers
// of barriers.
void RunGrid(const std::function<void()>& kernel, Dimensions blocks, Dimensions threads,
             bool is_reversed);

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_BLOCK_H_
