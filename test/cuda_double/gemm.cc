#include "gemm.h"

#include <algorithm>
#include <vector>

namespace cuda_double {
namespace {

constexpr size_t kLanes = 8;
typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(4)));

// A tile of the result, which registers can hold.
constexpr size_t kTileRows = 4;
constexpr size_t kTileColumns = 2 * kLanes;

size_t TilesOf(size_t length, size_t tile) { return (length + tile - 1) / tile; }

// Copies a strip of `width` lines of a matrix so that numbers of equal depth are adjacent, with zeros beyond its edge.
void Pack(const float* from, size_t line, size_t step, size_t lines, size_t width, size_t depth,
          float* to) {
  for (size_t p = 0; p < depth; p++) {
    for (size_t i = 0; i < width; i++) {
      to[p * width + i] = i < lines ? from[i * line + p * step] : 0.f;
    }
  }
}

void MultiplyTile(const float* a, const float* b, size_t depth, float* tile) {
  Vector sums[kTileRows][2] = {};
  for (size_t p = 0; p < depth; p++) {
    const Vector first = *reinterpret_cast<const Vector*>(b + p * kTileColumns);
    const Vector second = *reinterpret_cast<const Vector*>(b + p * kTileColumns + kLanes);
    for (size_t i = 0; i < kTileRows; i++) {
      sums[i][0] += a[p * kTileRows + i] * first;
      sums[i][1] += a[p * kTileRows + i] * second;
    }
  }
  for (size_t i = 0; i < kTileRows; i++) {
    *reinterpret_cast<Vector*>(tile + i * kTileColumns) = sums[i][0];
    *reinterpret_cast<Vector*>(tile + i * kTileColumns + kLanes) = sums[i][1];
  }
}

}  // namespace

void Multiply(size_t rows, size_t columns, size_t depth, const Matrix& a, const Matrix& b, float* c,
              bool adds) {
  const size_t strip = depth * kTileColumns;
  std::vector<float> packed_b(TilesOf(columns, kTileColumns) * strip);
  for (size_t j = 0; j < columns; j += kTileColumns) {
    const size_t tile_columns = std::min(kTileColumns, columns - j);
    Pack(b.values + j * b.column, b.column, b.row, tile_columns, kTileColumns, depth,
         packed_b.data() + j / kTileColumns * strip);
  }
  std::vector<float> packed_a(depth * kTileRows);
  float tile[kTileRows * kTileColumns];
  for (size_t i = 0; i < rows; i += kTileRows) {
    const size_t tile_rows = std::min(kTileRows, rows - i);
    Pack(a.values + i * a.row, a.row, a.column, tile_rows, kTileRows, depth, packed_a.data());
    for (size_t j = 0; j < columns; j += kTileColumns) {
      MultiplyTile(packed_a.data(), packed_b.data() + j / kTileColumns * strip, depth, tile);
      const size_t tile_columns = std::min(kTileColumns, columns - j);
      for (size_t y = 0; y < tile_rows; y++) {
        float* to = c + (i + y) * columns + j;
        const float* from = tile + y * kTileColumns;
        for (size_t x = 0; x < tile_columns; x++) to[x] = adds ? to[x] + from[x] : from[x];
      }
    }
  }
}

}  // namespace cuda_double
