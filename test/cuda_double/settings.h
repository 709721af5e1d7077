// What the environment asks of the double. It is read once, when the library is loaded.

#ifndef TWOTOWER_TEST_CUDA_DOUBLE_SETTINGS_H_
#define TWOTOWER_TEST_CUDA_DOUBLE_SETTINGS_H_

#include <cstddef>
#include <string>
#include <vector>

namespace cuda_double {

struct Settings {
  // TWOTOWER_DOUBLE_DEVICES: how many GPUs the machine has (default 2). `visible` has those that CUDA_VISIBLE_DEVICES
  // leaves, in its order.
  std::vector<int> visible;
  // TWOTOWER_DOUBLE_MACHINE: the number of the machine, by which its GPUs have other UUIDs (default 0).
  int machine;
  // TWOTOWER_DOUBLE_MEMORY: bytes per GPU (default 4 GiB).
  size_t memory;
  // TWOTOWER_DOUBLE_LOCKABLE: bytes of the largest piece of host memory that can be page-locked (default any).
  size_t lockable;
  // TWOTOWER_DOUBLE_DRIVER: version of the driver (default 13000).
  int driver;
  // TWOTOWER_DOUBLE_NVJPEG: version of nvJPEG (default 13000).
  int nvjpeg;
  // TWOTOWER_DOUBLE_CAPABILITY: ten times the compute capability (default 90).
  int capability;
  // TWOTOWER_DOUBLE_PEER=0: no GPU can access another's memory.
  bool has_peer_access;
  // TWOTOWER_DOUBLE_REPORT: file for the report of what was created and destroyed (default none).
  std::string report;
  // TWOTOWER_DOUBLE_FAIL=SYMBOL:N:STATUS: the call that fails, counted from 1; see call.h. Zero if none does.
  std::string failing_symbol;
  long failing_call;
  int failing_status;
  // TWOTOWER_DOUBLE_LOST_AT=N: the GPUs are lost when a stream comes to the N-th host function or sum of NCCL, counted from 1,
  // as by a kernel's fault before it. Zero if they are not.
  long lost_at;
};

const Settings& TheSettings();

}  // namespace cuda_double

#endif  // TWOTOWER_TEST_CUDA_DOUBLE_SETTINGS_H_
