// What goes before and after the calls of cuDNN and cuBLASLt: bias and ReLU, layouts, rounding to bfloat16.

// A bfloat16 is the upper half of a float32; rounded to nearest, ties to even.
__device__ inline uint16 RoundToBf16(float value) {
  const uint32 bits = __float_as_uint(value);
  if (value != value) return uint16(bits >> 16 | 0x40);
  return uint16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

__device__ inline float WidenBf16(uint16 value) { return __uint_as_float(uint32(value) << 16); }

KERNEL ToBf16(uint64 count, const float* x, uint16* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) out[i] = RoundToBf16(x[i]);
}

KERNEL FromBf16(uint64 count, const uint16* x, float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) out[i] = WidenBf16(x[i]);
}

// In place; `bias` may be null.
KERNEL AddBias(uint64 count, uint64 channels, const float* bias, float* out, bool relu) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float value = out[i];
    if (bias != nullptr) value += bias[i - Quotient(i, channels) * channels];
    out[i] = relu ? Relu(value) : value;
  }
}

// The same for four channels a thread; all memory is aligned to 16 bytes.
KERNEL AddBias4(uint64 count, uint64 channels, const float4* bias, float4* out, bool relu) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float4 value = out[i];
    if (bias != nullptr) {
      const float4 b = bias[i - Quotient(i, channels) * channels];
      value.x += b.x;
      value.y += b.y;
      value.z += b.z;
      value.w += b.w;
    }
    if (relu) {
      value.x = Relu(value.x);
      value.y = Relu(value.y);
      value.z = Relu(value.z);
      value.w = Relu(value.w);
    }
    out[i] = value;
  }
}

// out[column][row] = convert(x[row][column]), a square a block, so that reads and writes are both contiguous.
template <typename In, typename Out, typename Convert>
__device__ void TransposeTile(uint64 tile, uint64 rows, uint64 columns, const In* x, uint64 x_stride,
                              Out* out, uint64 out_stride, Out (*square)[kTileSide + 1],
                              const Convert& convert) {
  const uint64 across = Quotient(columns + kTileSide - 1, kTileSide);
  const uint64 tile_row = Quotient(tile, across);
  const uint64 first_row = tile_row * kTileSide;
  const uint64 first_column = (tile - tile_row * across) * kTileSide;
  const int x_in = threadIdx.x % kTileSide;
  const int y_in = threadIdx.x / kTileSide;
  __syncthreads();
  for (int y = y_in; y < kTileSide; y += kTileRows) {
    if (first_row + y < rows && first_column + x_in < columns) {
      square[y][x_in] = convert(x[(first_row + y) * x_stride + first_column + x_in]);
    }
  }
  __syncthreads();
  for (int y = y_in; y < kTileSide; y += kTileRows) {
    if (first_column + y < columns && first_row + x_in < rows) {
      out[(first_column + y) * out_stride + first_row + x_in] = square[x_in][y];
    }
  }
}

template <typename In, typename Out, typename Convert>
__device__ void TransposeMatrix(uint64 tiles, uint64 rows, uint64 columns, const In* x, Out* out,
                                Out (*square)[kTileSide + 1], const Convert& convert) {
  for (uint64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    TransposeTile(tile, rows, columns, x, columns, out, rows, square, convert);
  }
}

KERNEL TransposeToBf16(uint64 tiles, uint64 rows, uint64 columns, const float* x, uint16* out) {
  __shared__ uint16 square[kTileSide][kTileSide + 1];
  TransposeMatrix(tiles, rows, columns, x, out, square, RoundToBf16);
}

KERNEL TransposeFromBf16(uint64 tiles, uint64 rows, uint64 columns, const uint16* x, float* out) {
  __shared__ float square[kTileSide][kTileSide + 1];
  TransposeMatrix(tiles, rows, columns, x, out, square, WidenBf16);
}
