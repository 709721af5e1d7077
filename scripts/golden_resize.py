"""Writes test/golden/resize.json: what Pillow's bilinear resize gives, for test/data/resize.test.ts.

    python scripts/golden_resize.py        (needs pillow and numpy)

Byte i of an input image [height, width, 3] is the top byte of i * 2654435761 mod 2^32, so that only the
SHA-256 of Pillow's output has to be kept.
"""

import hashlib
import json
from pathlib import Path

import numpy
import PIL
from PIL import Image

# (height, width) before and after.
CASES = [
    ((32, 32), (227, 227)),  # the seed's transforms.Resize((227, 227))
    ((5, 7), (23, 19)),
    ((61, 47), (20, 32)),
    ((300, 200), (31, 33)),  # many taps
    ((24, 80), (60, 30)),  # enlarged one way, shrunk the other
    ((1, 1), (4, 3)),
    ((40, 30), (40, 17)),  # one direction only
]


def main() -> None:
    golden = []
    for before, after in CASES:
        count = before[0] * before[1] * 3
        words = numpy.arange(count, dtype=numpy.uint64) * numpy.uint64(2654435761)
        pixels = ((words & numpy.uint64(0xFFFFFFFF)) >> numpy.uint64(24)).astype(numpy.uint8)
        image = Image.fromarray(pixels.reshape(*before, 3))
        resized = image.resize((after[1], after[0]), Image.Resampling.BILINEAR)
        digest = hashlib.sha256(resized.tobytes()).hexdigest()
        golden.append({"before": before, "after": after, "sha256": digest})
    path = Path(__file__).parent.parent / "test" / "golden" / "resize.json"
    path.write_text(json.dumps({"pillow": PIL.__version__, "cases": golden}, indent=2) + "\n")


if __name__ == "__main__":
    main()
