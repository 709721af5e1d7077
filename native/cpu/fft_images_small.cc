#include "fft_images.h"

namespace twotower::fft {

std::optional<ImageTransforms> SmallImageTransforms(int n) {
  return ImageTransformsAmong<8, 9, 10, 12, 14, 15, 16>(n);
}

}  // namespace twotower::fft
