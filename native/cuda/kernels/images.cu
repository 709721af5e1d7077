// The network's input from the bytes of a batch: cutting, flipping, resizing, normalizing, colour noise. Also, what a window
// shows of one image as bytes. The numbers are those of ../../src/data/resize.ts and ../../src/backend/images.ts, to the bit.

constexpr int kColours = 3;

// Weights of the resizing filter have so many fractional bits.
constexpr int kFractionBits = 22;

// For each output position along an axis: the first input position, the number of them, and their weights.
__device__ inline const int* TapsAt(const int* taps, int position, int stride) {
  return taps + uint64(position) * stride;
}

// A pixel of the network's input in 8 bits. Rows are resized first, to 8 bits in between.
__device__ inline void ViewedPixel(const ViewSizes& sizes, const uint8* image, const int* window,
                                   const int* row_taps, const int* column_taps, int y, int x,
                                   int* pixel) {
  const int top = window[0];
  const int left = window[1];
  const bool is_flipped = window[4] != 0;
  // The pixel's position in the resized image. Then the row and the column of the image that come first in what is resized, and
  // the direction of the next column.
  int row = y;
  int column = x;
  int first_row = 0;
  int first_column = 0;
  int step = 1;
  if (sizes.cuts_source) {
    first_row = top;
    first_column = is_flipped ? left + window[3] - 1 : left;
    step = is_flipped ? -1 : 1;
  } else {
    row += top;
    column = left + (is_flipped ? sizes.out_width - 1 - x : x);
  }
  const int* rows = TapsAt(row_taps, row, sizes.row_stride);
  const int* columns = TapsAt(column_taps, column, sizes.column_stride);
  const int half = 1 << (kFractionBits - 1);
  int sums[kColours] = {half, half, half};
  for (int i = 0; i < rows[1]; i++) {
    const int source_row = first_row + rows[0] + i;
    // Outside of the image it is black.
    if (source_row < 0 || source_row >= sizes.source_height) continue;
    int narrowed[kColours] = {half, half, half};
    for (int j = 0; j < columns[1]; j++) {
      const int source_column = first_column + step * (columns[0] + j);
      if (source_column < 0 || source_column >= sizes.source_width) continue;
      const uint8* source = image + kColours * (source_row * sizes.source_width + source_column);
      const int weight = columns[2 + j];
#pragma unroll
      for (int c = 0; c < kColours; c++) narrowed[c] += weight * source[c];
    }
#pragma unroll
    for (int c = 0; c < kColours; c++) sums[c] += rows[2 + i] * (narrowed[c] >> kFractionBits);
  }
#pragma unroll
  for (int c = 0; c < kColours; c++) pixel[c] = sums[c] >> kFractionBits;
}

// One pixel per thread. If `windows` is null, the bytes have the size of the network's input. If `mean` or `colours` is null, it
// is left out.
KERNEL ImagesFromViews(uint64 pixels, ViewSizes sizes, const uint8* bytes, const int* windows,
                       const int* row_taps, const int* column_taps, const float* table,
                       const float* mean, const float* colours, float* out) {
  const uint64 source_bytes = uint64(kColours) * sizes.source_height * sizes.source_width;
  for (uint64 i = FirstIndex(); i < pixels; i += IndexStep()) {
    uint64 image = i;
    const int x = int(TakeIndex(image, sizes.out_width));
    const int y = int(TakeIndex(image, sizes.out_height));
    int pixel[kColours];
    if (windows == nullptr) {
#pragma unroll
      for (int c = 0; c < kColours; c++) pixel[c] = bytes[kColours * i + c];
    } else {
      ViewedPixel(sizes, bytes + image * source_bytes, windows + kWindowNumbers * image, row_taps,
                  column_taps, y, x, pixel);
    }
    const uint64 place = uint64(y) * sizes.out_width + x;
#pragma unroll
    for (int c = 0; c < kColours; c++) {
      float value = table[kColours * pixel[c] + c];
      if (mean != nullptr) value -= mean[kColours * place + c];
      if (colours != nullptr) value += colours[kColours * image + c];
      out[kColours * i + c] = value;
    }
  }
}

// What a window shows of one image, in bytes. One pixel per thread.
KERNEL ViewedImage(uint64 pixels, ViewSizes sizes, const uint8* image, Window window,
                   const int* row_taps, const int* column_taps, uint8* out) {
  for (uint64 i = FirstIndex(); i < pixels; i += IndexStep()) {
    uint64 y = i;
    const int x = int(TakeIndex(y, sizes.out_width));
    int pixel[kColours];
    ViewedPixel(sizes, image, window.numbers, row_taps, column_taps, int(y), x, pixel);
#pragma unroll
    for (int c = 0; c < kColours; c++) out[kColours * i + c] = uint8(pixel[c]);
  }
}
