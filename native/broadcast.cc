#include "broadcast.h"

namespace twotower {
namespace {

// The size of dimension `d` of a result of `rank` dimensions; 1 before the operand's first.
int64_t SizeAt(const Integers& shape, size_t rank, size_t d) {
  const size_t missing = rank - shape.size();
  return d < missing ? 1 : shape[d - missing];
}

}  // namespace

Broadcast::Broadcast(const Integers& a, const Integers& b, const Integers& out) {
  const size_t rank = out.size();
  const RangeError mismatch("the shapes of a, b and out do not go together");
  if (rank != std::max(a.size(), b.size())) throw mismatch;
  count_ = ProductOf(out);
  // From the last dimension on: strides within the operands, and whether they continue those before.
  size_t a_stride = 1, b_stride = 1;
  size_t sizes[kMaxRank], a_strides[kMaxRank], b_strides[kMaxRank];
  size_t kept = 0;
  for (size_t d = rank; d-- > 0;) {
    const int64_t a_size = SizeAt(a, rank, d);
    const int64_t b_size = SizeAt(b, rank, d);
    if (a_size != b_size && a_size != 1 && b_size != 1) throw mismatch;
    const int64_t size = a_size == 1 ? b_size : a_size;
    if (size != out[d]) throw mismatch;
    if (size == 1) continue;
    const size_t a_here = a_size == 1 ? 0 : a_stride;
    const size_t b_here = b_size == 1 ? 0 : b_stride;
    a_stride *= a_size;
    b_stride *= b_size;
    if (kept > 0 && a_here == a_strides[kept - 1] * sizes[kept - 1] &&
        b_here == b_strides[kept - 1] * sizes[kept - 1]) {
      sizes[kept - 1] *= size;
      continue;
    }
    sizes[kept] = size;
    a_strides[kept] = a_here;
    b_strides[kept] = b_here;
    kept++;
  }
  if (kept == 0) {
    sizes[0] = 1;
    a_strides[0] = b_strides[0] = 0;
    kept = 1;
  }
  rank_ = kept;
  for (size_t d = 0; d < kept; d++) {
    sizes_[d] = sizes[kept - 1 - d];
    a_strides_[d] = a_strides[kept - 1 - d];
    b_strides_[d] = b_strides[kept - 1 - d];
  }
}

}  // namespace twotower
