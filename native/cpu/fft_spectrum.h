// How spectra lie in memory, and the steps of a convolution through the frequency domain (fft_convolution.h).
//
// Two images (or two tiles of images) a and b form one complex image a + ib, whose transform Z(k) gives the spectra of both. A
// spectrum stores rows 2p and 2p + 1 as Z(k) and conj Z(−k), for half of the bins k; multiplying both by a filter's spectrum
// F(k) gives the same two of the product.

#ifndef TWOTOWER_NATIVE_FFT_SPECTRUM_H_
#define TWOTOWER_NATIVE_FFT_SPECTRUM_H_

#include <cstdint>

#include "fft_vector.h"

namespace twotower::fft {

// Rows of a spectrum that lie together, and are multiplied together.
constexpr int kRows = 4;
// A row of a chunk: the real parts of kLanes channels, then the imaginary ones.
constexpr int kRowFloats = 2 * kLanes;
constexpr int64_t kChunkFloats = kRows * kRowFloats;

constexpr int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The bins (ky, kx) of an n × n transform that are kept. Bin (−ky, −kx) is the conjugate in the other row, so that columns
// kx = 0 … n/2 suffice, and half of each column that is its own mirror image: kx = 0, and n/2 if n is even.
struct Bins {
  int n;

  int Half() const { return n / 2; }
  bool IsOwnMirror(int kx) const { return kx == 0 || 2 * kx == n; }
  int OwnMirrors() const { return n % 2 == 0 ? 2 : 1; }
  int Count() const { return OwnMirrors() * (Half() + 1) + (Half() + 1 - OwnMirrors()) * n; }
  // The index of column kx's first bin.
  int Column(int kx) const {
    if (kx == 0) return 0;
    if (2 * kx == n) return Half() + 1;
    return OwnMirrors() * (Half() + 1) + (kx - 1) * n;
  }
};

// [block of kRows rows][group of kLanes channels][bin][row][re, im]: transforms stream over whole (block, group)s, products over
// bins. Strides are odd multiples of a chunk, which spreads the chunks of a bin over the sets of the caches.
struct Spectrum {
  float* data = nullptr;
  int64_t rows = 0, groups = 0;
  int bins = 0;

  Spectrum(int64_t rows_wanted, int64_t channels, int bin_count)
      : rows(RoundUp(rows_wanted, kRows)),
        groups(RoundUp(channels, kLanes) / kLanes),
        bins(bin_count) {}

  int64_t GroupStride() const { return (bins | 1) * kChunkFloats; }
  int64_t BlockStride() const { return (groups * (bins | 1) | 1) * kChunkFloats; }
  int64_t Floats() const { return rows / kRows * BlockStride(); }
  float* At(int bin, int64_t group, int64_t row) const {
    return data + row / kRows * BlockStride() + group * GroupStride() + bin * kChunkFloats +
           row % kRows * kRowFloats;
  }
};

// Activations [batch, height, width, channels], of which channels first … first + count are meant.
struct Images {
  float* data;
  int64_t batch, height, width, channels;
  int64_t first, count;
};

// How images are cut into tiles: tile (i, j) covers `extent` rows from i·step − before and as many columns from j·step − before_x.
struct Tiling {
  int64_t tiles_y, tiles_x, step;
  int64_t before_y, before_x;
  int64_t extent;

  int64_t PerImage() const { return tiles_y * tiles_x; }
};

// Square filters [size, size, rows, channels], of which some rows and channels are meant. Element (shift_y, shift_x) of a filter
// multiplies the position that it gives.
struct Filters {
  float* data;
  int64_t size, rows, channels;
  int64_t first_row, row_count;
  int64_t first, count;
  int64_t shift_y, shift_x;
};

// The greatest size of a transform.
constexpr int kMostTransform = 36;

// Whether transforms of size n and filters of that size exist.
bool HasTransform(int n);
bool HasFilterSize(int64_t size);

// Floats of scratch memory that TransformImages and InverseImages want of the calling thread's team.
int64_t ImageScratchFloats(int n, int threads);

// Tiles first_tile … first_tile + spectrum.rows of all the images' become the spectrum's rows; those after the last are zeros.
void TransformImages(int n, const Images& images, const Tiling& tiling, int64_t first_tile,
                     const Spectrum& spectrum, float* scratch);

// The other way, each tile's rows and columns 0 … extent; `bias` [count] and ReLU are applied unless null or false. NaN stays.
void InverseImages(int n, const Spectrum& spectrum, const Images& images, const Tiling& tiling,
                   int64_t first_tile, const float* bias, bool relu, float* scratch);

// The filters' spectra, conjugated (a convolutional layer correlates) and divided by n²; rows after the last are zeros.
void TransformFilters(int n, const Filters& filters, const Spectrum& spectrum);

// The filters' gradients from their spectra.
void InverseFilters(int n, const Spectrum& spectrum, const Filters& gradients);

// y(bin) = x(bin) · filters(bin), for every bin; `inner` of the channels of x are not padding.
void Multiply(const Spectrum& x, const Spectrum& filters, int64_t inner, const Spectrum& y);

// gradient(bin) = x(bin)ᵀ · conj dy(bin), for every bin.
void MultiplyForFilters(const Spectrum& x, const Spectrum& dy, const Spectrum& gradient);

}  // namespace twotower::fft

#endif  // TWOTOWER_NATIVE_FFT_SPECTRUM_H_
