// Images to spectra and back, of every size that has a transform.

#include "fft_images.h"

namespace twotower::fft {
namespace {

std::optional<ImageTransforms> ImageTransformsOf(int n) {
  const auto small = SmallImageTransforms(n);
  return small ? small : LargeImageTransforms(n);
}

}  // namespace

bool HasTransform(int n) { return ImageTransformsOf(n).has_value(); }

int64_t ImageScratchFloats(int n, int threads) {
  return n * ColumnVectors(n) * kLanes * threads;
}

void TransformImages(int n, const Images& images, const Tiling& tiling, int64_t first_tile,
                     const Spectrum& spectrum, float* scratch) {
  ImageTransformsOf(n)->transform(images, tiling, first_tile, spectrum, scratch);
}

void InverseImages(int n, const Spectrum& spectrum, const Images& images, const Tiling& tiling,
                   int64_t first_tile, const float* bias, bool relu, float* scratch) {
  ImageTransformsOf(n)->inverse(spectrum, images, tiling, first_tile, bias, relu, scratch);
}

}  // namespace twotower::fft
