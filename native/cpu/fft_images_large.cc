#include "fft_images.h"

namespace twotower::fft {

std::optional<ImageTransforms> LargeImageTransforms(int n) {
  return ImageTransformsAmong<18, 20, 24, 28, 30, 32, 36>(n);
}

}  // namespace twotower::fft
