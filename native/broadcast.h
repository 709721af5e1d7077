// Broadcasting of two operands to one result. Dimensions that are contiguous in all three arrays are merged, so that
// most calls are one loop, or one loop per row.

#ifndef TWOTOWER_NATIVE_BROADCAST_H_
#define TWOTOWER_NATIVE_BROADCAST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "values.h"

namespace twotower {

class Broadcast {
 public:
  // Throws RangeError unless `out` is the broadcast shape of the others.
  Broadcast(const Integers& a, const Integers& b, const Integers& out);

  size_t Count() const { return count_; }

  // The merged dimensions, at least one, and by how far an index in each moves in the operands.
  size_t Rank() const { return rank_; }
  size_t Size(size_t dimension) const { return sizes_[dimension]; }
  size_t AStride(size_t dimension) const { return a_strides_[dimension]; }
  size_t BStride(size_t dimension) const { return b_strides_[dimension]; }

  // Visits the elements of the result from `begin` to `end`, row by row:
  // `body(a offset, a stride, b offset, b stride, position in the result, length)`; strides are 0 or 1.
  template <typename Body>
  void ForEachRow(size_t begin, size_t end, const Body& body) const {
    const size_t length = sizes_[rank_ - 1];
    while (begin < end) {
      size_t row = begin / length;
      const size_t within = begin % length;
      const size_t here = std::min(length - within, end - begin);
      size_t a = within * a_strides_[rank_ - 1];
      size_t b = within * b_strides_[rank_ - 1];
      for (size_t d = rank_ - 1; d-- > 0;) {
        const size_t index = row % sizes_[d];
        row /= sizes_[d];
        a += index * a_strides_[d];
        b += index * b_strides_[d];
      }
      body(a, a_strides_[rank_ - 1], b, b_strides_[rank_ - 1], begin, here);
      begin += here;
    }
  }

 private:
  size_t count_ = 1;
  size_t rank_ = 0;
  size_t sizes_[kMaxRank];
  size_t a_strides_[kMaxRank];
  size_t b_strides_[kMaxRank];
};

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_BROADCAST_H_
