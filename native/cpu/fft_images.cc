// Images to spectra and back, of every size that has a transform.

#include "fft_images.h"

namespace twotower::fft {
namespace {

// Calls `call` with the size as a compile-time constant; false if there is none of that size.
template <int... sizes, typename Call>
bool WithSize(int n, const Call& call) {
  return ((n == sizes ? (call(std::integral_constant<int, sizes>()), true) : false) || ...);
}

template <typename Call>
bool WithAnySize(int n, const Call& call) {
#if defined(__SANITIZE_ADDRESS__)
  // The compiler takes minutes for all of them; these are of an even and an odd number, and of every factor.
  return WithSize<8, 14, 15, 16, 30>(n, call);
#else
  return WithSize<8, 9, 10, 12, 14, 15, 16, 18, 20, 24, 28, 30, 32, 36>(n, call);
#endif
}

}  // namespace

bool HasTransform(int n) {
  return WithAnySize(n, [](auto) {});
}

int64_t ImageScratchFloats(int n, int threads) {
  return n * ColumnVectors(n) * kLanes * threads;
}

void TransformImages(int n, const Images& images, const Tiling& tiling, int64_t first_tile,
                     const Spectrum& spectrum, float* scratch) {
  WithAnySize(n, [&](auto size) {
    TransformImagesOfSize<size>(images, tiling, first_tile, spectrum, scratch);
  });
}

void InverseImages(int n, const Spectrum& spectrum, const Images& images, const Tiling& tiling,
                   int64_t first_tile, const float* bias, bool relu, float* scratch) {
  WithAnySize(n, [&](auto size) {
    InverseImagesOfSize<size>(spectrum, images, tiling, first_tile, bias, relu, scratch);
  });
}

}  // namespace twotower::fft
