// TransformImages and InverseImages (fft_spectrum.h) of one size.

#ifndef TWOTOWER_NATIVE_FFT_IMAGES_H_
#define TWOTOWER_NATIVE_FFT_IMAGES_H_

#include <algorithm>
#include <atomic>
#include <limits>
#include <optional>

#include "fft_spectrum.h"
#include "fft_transform.h"
#include "parallel.h"

namespace twotower::fft {

// Vectors from one column of a half-transformed tile to the next: odd in cache lines, so that columns do not share a set.
constexpr int64_t ColumnVectors(int n) { return 2 * (n + 1); }

// A tile's part of its image: rows and columns of the tile that lie inside, and where the tile's element (0, 0) is or would be.
struct Window {
  int row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
  int64_t origin = 0;
};

inline Window WindowOf(const Images& images, const Tiling& tiling, int64_t tile) {
  if (tile >= images.batch * tiling.PerImage()) return {};
  const int64_t image = tile / tiling.PerImage();
  const int64_t inside = tile % tiling.PerImage();
  const int64_t row = inside / tiling.tiles_x * tiling.step - tiling.before_y;
  const int64_t column = inside % tiling.tiles_x * tiling.step - tiling.before_x;
  const auto within = [&](int64_t length, int64_t start) {
    return static_cast<int>(std::clamp<int64_t>(length - start, 0, tiling.extent));
  };
  return {static_cast<int>(std::max<int64_t>(0, -row)), within(images.height, row),
          static_cast<int>(std::max<int64_t>(0, -column)), within(images.width, column),
          ((image * images.height + row) * images.width + column) * images.channels};
}

// A row of a tile as its transform reads it: zeros outside the image.
struct TileRow {
  const float* data = nullptr;
  int begin = 0;
  unsigned length = 0;
  int64_t step = 0;

  TWOTOWER_INLINE Vector At(int i) const {
    return static_cast<unsigned>(i - begin) < length ? LoadUnaligned(data + i * step) : Vector{};
  }
};

// `padded` takes the row where its last channels are fewer than a vector's.
template <int n>
TileRow RowOf(const Images& images, const Window& window, int row, int64_t group, float* padded) {
  if (row < window.row_begin || row >= window.row_end) return {};
  const int channels = static_cast<int>(std::min<int64_t>(kLanes, images.count - group * kLanes));
  const int64_t start = window.origin + row * images.width * images.channels + images.first +
                        group * kLanes;
  const auto length = static_cast<unsigned>(std::max(0, window.column_end - window.column_begin));
  if (channels == kLanes) {
    return {images.data + start, window.column_begin, length, images.channels};
  }
  for (int i = window.column_begin; i < window.column_end; i++) {
    StoreUnaligned(padded + i * kLanes,
                   LoadPart(images.data + start + i * images.channels, channels));
  }
  return {padded, window.column_begin, length, kLanes};
}

template <int n>
void TransformPair(const Images& images, const Window& a, const Window& b, int64_t group,
                   Vector* half_done) {
  alignas(kVectorBytes) float padded[2][n * kLanes];
  const int row_begin = std::min(a.row_begin, b.row_begin);
  const int row_end = std::max(a.row_end, b.row_end);
  for (int row = 0; row < n; row++) {
    Vector* to = half_done + 2 * row;
    if (row < row_begin || row >= row_end) {
      for (int k = 0; k < n; k++) to[k * ColumnVectors(n)] = to[k * ColumnVectors(n) + 1] = Vector{};
      continue;
    }
    const TileRow from_a = RowOf<n>(images, a, row, group, padded[0]);
    const TileRow from_b = RowOf<n>(images, b, row, group, padded[1]);
    Transform<n>(
        [&](int i) TWOTOWER_INLINE { return Complex{from_a.At(i), from_b.At(i)}; },
        [&](int k, Complex value) TWOTOWER_INLINE {
          to[k * ColumnVectors(n)] = value.re;
          to[k * ColumnVectors(n) + 1] = value.im;
        });
  }
}

// Columns of the half-transformed pair into rows `up` (Z) and `up` + 1 (the conjugate of Z at the mirror bin).
template <int n>
TWOTOWER_INLINE inline void TransformColumn(const Vector* half_done, int kx, float* up) {
  float* down = up + kRowFloats;
  const auto load_from = [&](int column) TWOTOWER_INLINE {
    const Vector* from = half_done + column * ColumnVectors(n);
    return [from](int i) TWOTOWER_INLINE { return Complex{from[2 * i], from[2 * i + 1]}; };
  };
  const auto store = [](float* at, Vector re, Vector im) TWOTOWER_INLINE {
    Stream(at, re);
    Stream(at + kLanes, im);
  };
  if (Bins{n}.IsOwnMirror(kx)) {
    Transform<n>(load_from(kx), [&](int k, Complex value) TWOTOWER_INLINE {
      if (2 * k <= n) store(up + k * kChunkFloats, value.re, value.im);
      if (k == 0 || 2 * k >= n) store(down + (n - k) % n * kChunkFloats, value.re, -value.im);
    });
    return;
  }
  Transform<n>(load_from(kx), [&](int k, Complex value) TWOTOWER_INLINE {
    store(up + k * kChunkFloats, value.re, value.im);
  });
  Transform<n>(load_from(n - kx), [&](int k, Complex value) TWOTOWER_INLINE {
    store(down + (n - k) % n * kChunkFloats, value.re, -value.im);
  });
}

// Each thread of a team takes its own part of the scratch memory.
template <int n, typename Body>
void ForEachItem(const Spectrum& spectrum, float* scratch, const Body& body) {
  constexpr int64_t kPlaneFloats = n * ColumnVectors(n) * kLanes;
  std::atomic<int> next{0};
  const int64_t items = spectrum.rows / kRows * spectrum.groups;
  Parallel(items, kRows * n * n * kLanes, [&](size_t begin, size_t end) {
    auto* own = reinterpret_cast<Vector*>(scratch + next++ * kPlaneFloats);
    for (size_t item = begin; item < end; item++) {
      body(static_cast<int64_t>(item) / spectrum.groups, static_cast<int64_t>(item) % spectrum.groups,
           own);
    }
    FinishStreaming();
  });
}

template <int n>
void TransformImagesOfSize(const Images& images, const Tiling& tiling, int64_t first_tile,
                           const Spectrum& spectrum, float* scratch) {
  constexpr Bins kBins{n};
  ForEachItem<n>(spectrum, scratch, [&](int64_t block, int64_t group, Vector* half_done) {
    for (int64_t row = kRows * block; row < kRows * (block + 1); row += 2) {
      const int64_t tile = first_tile + row;
      TransformPair<n>(images, WindowOf(images, tiling, tile), WindowOf(images, tiling, tile + 1),
                       group, half_done);
      for (int kx = 0; kx <= kBins.Half(); kx++) {
        TransformColumn<n>(half_done, kx, spectrum.At(kBins.Column(kx), group, row));
      }
    }
  });
}

// An inverse transform is a forward one with real and imaginary parts exchanged before and after.
template <int n>
TWOTOWER_INLINE inline void InverseColumn(const float* up, int kx, int rows, Vector* half_done) {
  const float* down = up + kRowFloats;
  const auto store_to = [&](int column) TWOTOWER_INLINE {
    Vector* to = half_done + 2 * column;
    return [to, rows](int i, Complex value) TWOTOWER_INLINE {
      if (i >= rows) return;
      to[i * ColumnVectors(n)] = value.re;
      to[i * ColumnVectors(n) + 1] = value.im;
    };
  };
  const auto from_up = [&](int k) TWOTOWER_INLINE {
    const float* at = up + k * kChunkFloats;
    return Complex{Load(at + kLanes), Load(at)};
  };
  const auto from_down = [&](int k) TWOTOWER_INLINE {
    const float* at = down + (n - k) % n * kChunkFloats;
    return Complex{-Load(at + kLanes), Load(at)};
  };
  if (Bins{n}.IsOwnMirror(kx)) {
    Transform<n>(
        [&](int k) TWOTOWER_INLINE { return 2 * k <= n ? from_up(k) : from_down(k); }, store_to(kx));
    return;
  }
  Transform<n>(from_up, store_to(kx));
  Transform<n>(from_down, store_to(n - kx));
}

struct OutputRow {
  float* data = nullptr;
  int64_t step = 0;
  int length = 0;
};

// What becomes of each value: `bias` is added, and what is less than `least` becomes that. NaN stays.
struct Finish {
  Vector bias, least;

  TWOTOWER_INLINE Vector Of(Vector value) const {
    const Vector sum = value + bias;
    return sum < least ? least : sum;
  }
};

template <int n, bool streams>
TWOTOWER_INLINE inline void InverseRow(const Vector* from, const Finish& finish, const OutputRow& a,
                                       const OutputRow& b) {
  const auto store = [](float* to, Vector value) TWOTOWER_INLINE {
    if constexpr (streams) {
      Stream(to, value);
    } else {
      StoreUnaligned(to, value);
    }
  };
  Transform<n>(
      [&](int i) TWOTOWER_INLINE { return Complex{from[2 * i], from[2 * i + 1]}; },
      [&](int k, Complex value) TWOTOWER_INLINE {
        if (k < a.length) store(a.data + k * a.step, finish.Of(value.im));
        if (k < b.length) store(b.data + k * b.step, finish.Of(value.re));
      });
}

// Whether stores past the caches may be used and pay: vectors are aligned, and the images are more than the caches keep for the
// next kernel.
inline bool Streams(const Images& images) {
  constexpr int64_t kMoreThanCaches = (int64_t{8} << 20) / sizeof(float);
  return reinterpret_cast<uintptr_t>(images.data + images.first) % kVectorBytes == 0 &&
         images.channels % kLanes == 0 &&
         images.batch * images.height * images.width * images.channels > kMoreThanCaches;
}

template <int n>
void InversePair(const Images& images, const Window& a, const Window& b, int64_t group,
                 const float* bias, bool relu, const Vector* half_done) {
  alignas(kVectorBytes) float padded[2][n * kLanes];
  const int channels = static_cast<int>(std::min<int64_t>(kLanes, images.count - group * kLanes));
  const Finish finish{bias == nullptr ? Vector{} : LoadPart(bias + group * kLanes, channels),
                      relu ? Vector{} : Vector{} - std::numeric_limits<float>::infinity()};
  const bool streams = Streams(images);
  const auto place = [&](const Window& window, int row) {
    return images.data + window.origin + row * images.width * images.channels + images.first +
           group * kLanes;
  };
  const auto output = [&](const Window& window, int row, float* row_padded) -> OutputRow {
    if (row >= window.row_end) return {};
    if (channels < kLanes) return {row_padded, kLanes, window.column_end};
    return {place(window, row), images.channels, window.column_end};
  };
  const auto copy = [&](const Window& window, int row, const float* row_padded) {
    if (channels == kLanes || row >= window.row_end) return;
    float* to = place(window, row);
    for (int i = 0; i < window.column_end; i++) {
      StorePart(to + i * images.channels, Load(row_padded + i * kLanes), channels);
    }
  };
  for (int row = 0; row < std::max(a.row_end, b.row_end); row++) {
    const OutputRow to_a = output(a, row, padded[0]);
    const OutputRow to_b = output(b, row, padded[1]);
    const Vector* from = half_done + row * ColumnVectors(n);
    if (streams) {
      InverseRow<n, true>(from, finish, to_a, to_b);
    } else {
      InverseRow<n, false>(from, finish, to_a, to_b);
    }
    copy(a, row, padded[0]);
    copy(b, row, padded[1]);
  }
}

template <int n>
void InverseImagesOfSize(const Spectrum& spectrum, const Images& images, const Tiling& tiling,
                         int64_t first_tile, const float* bias, bool relu, float* scratch) {
  constexpr Bins kBins{n};
  ForEachItem<n>(spectrum, scratch, [&](int64_t block, int64_t group, Vector* half_done) {
    for (int64_t row = kRows * block; row < kRows * (block + 1); row += 2) {
      const Window a = WindowOf(images, tiling, first_tile + row);
      const Window b = WindowOf(images, tiling, first_tile + row + 1);
      const int rows = std::max(a.row_end, b.row_end);
      if (rows == 0) continue;
      for (int kx = 0; kx <= kBins.Half(); kx++) {
        InverseColumn<n>(spectrum.At(kBins.Column(kx), group, row), kx, rows, half_done);
      }
      InversePair<n>(images, a, b, group, bias, relu, half_done);
    }
  });
}

// TransformImages and InverseImages of one size.
struct ImageTransforms {
  decltype(&TransformImagesOfSize<8>) transform;
  decltype(&InverseImagesOfSize<8>) inverse;
};

// Those of size n if that is one of `sizes`.
template <int... sizes>
std::optional<ImageTransforms> ImageTransformsAmong(int n) {
  std::optional<ImageTransforms> found;
  (void)((n == sizes &&
          (found = ImageTransforms{TransformImagesOfSize<sizes>, InverseImagesOfSize<sizes>})) ||
         ...);
  return found;
}

// Of the sizes up to 16, and of those beyond. The compiler takes so much time and memory for each that these are two sources.
std::optional<ImageTransforms> SmallImageTransforms(int n);
std::optional<ImageTransforms> LargeImageTransforms(int n);

}  // namespace twotower::fft

#endif  // TWOTOWER_NATIVE_FFT_IMAGES_H_
