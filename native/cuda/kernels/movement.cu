// Kernels that move elements unchanged.

__device__ inline uint32 Unchanged(uint32 value) { return value; }

// Transposes the last dimension of the output with the one that is contiguous in the input, at each index of the others.
KERNEL TransposeWords(uint64 count, uint64 tiles, Visit others, uint64 rows, uint64 columns,
                      uint64 x_stride, uint64 out_stride, const uint32* x, uint32* out) {
  __shared__ uint32 square[kTileSide][kTileSide + 1];
  for (uint64 item = blockIdx.x; item < count; item += gridDim.x) {
    uint64 rest = item;
    const uint64 tile = TakeIndex(rest, tiles);
    uint64 x_at = 0, out_at = 0;
    for (int d = others.rank - 1; d >= 0; d--) {
      const uint64 here = TakeIndex(rest, others.sizes[d]);
      x_at += here * others.x_strides[d];
      out_at += here * others.out_strides[d];
    }
    TransposeTile(tile, rows, columns, x + x_at, x_stride, out + out_at, out_stride, square,
                  Unchanged);
  }
}

// Copies runs of contiguous elements, one at each index of the dimensions of `visit`.
template <typename Element>
__device__ void CopyEach(uint64 count, uint64 run, const Visit& visit, const Element* x,
                         Element* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 rest = i;
    uint64 x_at = TakeIndex(rest, run);
    uint64 out_at = x_at;
    for (int d = visit.rank - 1; d >= 0; d--) {
      const uint64 here = TakeIndex(rest, visit.sizes[d]);
      x_at += here * visit.x_strides[d];
      out_at += here * visit.out_strides[d];
    }
    out[out_at] = x[x_at];
  }
}

KERNEL CopyRunsOfBytes(uint64 count, uint64 run, Visit visit, const uint8* x, uint8* out) {
  CopyEach(count, run, visit, x, out);
}

KERNEL CopyRunsOfWords(uint64 count, uint64 run, Visit visit, const uint32* x, uint32* out) {
  CopyEach(count, run, visit, x, out);
}

// Four words are one element; all memory is aligned to 16 bytes.
KERNEL CopyRunsOf4Words(uint64 count, uint64 run, Visit visit, const uint4* x, uint4* out) {
  CopyEach(count, run, visit, x, out);
}

template <typename Element>
__device__ void GatherEach(uint64 count, uint64 gathered, uint64 indices, uint64 inner,
                           const Element* x, const int* index_of, Element missing, Element* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 outer = i;
    const uint64 within = TakeIndex(outer, inner);
    const int index = index_of[TakeIndex(outer, indices)];
    const bool is_there = index >= 0 && uint64(index) < gathered;
    out[i] = is_there ? x[(outer * gathered + index) * inner + within] : missing;
  }
}

KERNEL GatherWords(uint64 count, uint64 gathered, uint64 indices, uint64 inner, const uint32* x,
                   const int* index_of, uint32 missing, uint32* out) {
  GatherEach(count, gathered, indices, inner, x, index_of, missing, out);
}

KERNEL GatherBytes(uint64 count, uint64 gathered, uint64 indices, uint64 inner, const uint8* x,
                   const int* index_of, uint8 missing, uint8* out) {
  GatherEach(count, gathered, indices, inner, x, index_of, missing, out);
}

template <typename Element>
__device__ void OneHotEach(uint64 count, uint64 depth, const int* index_of, Element on, Element off,
                           Element* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 row = i;
    const uint64 column = TakeIndex(row, depth);
    const int index = index_of[row];
    out[i] = index >= 0 && uint64(index) == column ? on : off;
  }
}

KERNEL OneHotWords(uint64 count, uint64 depth, const int* index_of, uint32 on, uint32 off,
                   uint32* out) {
  OneHotEach(count, depth, index_of, on, off, out);
}

KERNEL OneHotBytes(uint64 count, uint64 depth, const int* index_of, uint8 on, uint8 off,
                   uint8* out) {
  OneHotEach(count, depth, index_of, on, off, out);
}

// `visit` has the sizes of the output, and in `out_strides` those of the input, around which indices go.
template <typename Element>
__device__ void TileEach(uint64 count, const Visit& visit, const Element* x, Element* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 rest = i;
    uint64 x_at = 0;
    for (int d = visit.rank - 1; d >= 0; d--) {
      uint64 here = TakeIndex(rest, visit.sizes[d]);
      x_at += TakeIndex(here, visit.out_strides[d]) * visit.x_strides[d];
    }
    out[i] = x[x_at];
  }
}

KERNEL TileWords(uint64 count, Visit visit, const uint32* x, uint32* out) {
  TileEach(count, visit, x, out);
}

KERNEL TileBytes(uint64 count, Visit visit, const uint8* x, uint8* out) {
  TileEach(count, visit, x, out);
}

KERNEL ImagesFromBytes(uint64 count, uint64 channels, const uint8* bytes, const float* table,
                       float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    out[i] = table[bytes[i] * channels + (i - Quotient(i, channels) * channels)];
  }
}

// The two old pixels that a new one is between, and the weight of the second.
struct BetweenPixels {
  int first, second;
  float share;
};

__device__ inline BetweenPixels Between(int index, int old_size, double ratio, bool half) {
  // Rounded twice, as on the CPU: a fused operation could move a position to the next pixel.
  const double source = half ? __dadd_rn(__dmul_rn(ratio, index + 0.5), -0.5) : ratio * index;
  // With aligned corners and half-pixel centers the first can lie beyond the last pixel.
  const int first = min(old_size - 1, max(0, int(floor(source))));
  const int second = min(old_size - 1, int(ceil(source)));
  // Before the first pixel tfjs uses the first for both, whatever the weight.
  return {first, max(0, second), float(source - first)};
}

KERNEL ResizeBilinear(uint64 count, ResizeSizes r, const float* x, float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 image = i;
    const uint64 c = TakeIndex(image, r.channels);
    const int to_column = int(TakeIndex(image, r.out_width));
    const int to_row = int(TakeIndex(image, r.out_height));
    const BetweenPixels row = Between(to_row, r.in_height, r.height_ratio, r.half_pixel_centers);
    const BetweenPixels column = Between(to_column, r.in_width, r.width_ratio, r.half_pixel_centers);
    const uint64 in_row = uint64(r.in_width) * r.channels;
    const float* top = x + (image * r.in_height + row.first) * in_row + c;
    const float* bottom = x + (image * r.in_height + row.second) * in_row + c;
    const uint64 left = uint64(column.first) * r.channels;
    const uint64 right = uint64(column.second) * r.channels;
    const float above = top[left] + (top[right] - top[left]) * column.share;
    const float below = bottom[left] + (bottom[right] - bottom[left]) * column.share;
    out[i] = above + (below - above) * row.share;
  }
}
