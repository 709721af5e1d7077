"""Writes test/golden/statistics.json: NumPy's mean and principal components of given images' colours, for
test/data/statistics.test.ts.

    python scripts/golden_statistics.py        (needs numpy)

Byte i of the images [count, height, width, 3] is the top byte of i * 2654435761 mod 2^32; green is then
replaced by the mean of red and green, and blue by the mean of green and blue, both rounded down, so
that the colours are correlated.
"""

import json
from pathlib import Path

import numpy

COUNT, HEIGHT, WIDTH = 7, 5, 6


def main() -> None:
    words = numpy.arange(COUNT * HEIGHT * WIDTH * 3, dtype=numpy.uint64) * numpy.uint64(2654435761)
    images = ((words & numpy.uint64(0xFFFFFFFF)) >> numpy.uint64(24)).astype(numpy.int64)
    images = images.reshape(COUNT, HEIGHT, WIDTH, 3)
    images[..., 1] = (images[..., 0] + images[..., 1]) // 2
    images[..., 2] = (images[..., 1] + images[..., 2]) // 2
    colours = images.reshape(-1, 3).astype(numpy.float64)
    covariance = numpy.cov(colours, rowvar=False, bias=True)
    eigenvalues, columns = numpy.linalg.eigh(covariance)
    vectors = columns.T[::-1]
    vectors = [v if v[numpy.argmax(numpy.abs(v))] > 0 else -v for v in vectors]
    golden = {
        "numpy": numpy.__version__,
        "shape": [COUNT, HEIGHT, WIDTH],
        "meanImage": images.mean(axis=0).ravel().tolist(),
        "mean": colours.mean(axis=0).tolist(),
        "covariance": covariance.tolist(),
        "eigenvalues": eigenvalues[::-1].tolist(),
        "eigenvectors": [v.tolist() for v in vectors],
    }
    path = Path(__file__).parent.parent / "test" / "golden" / "statistics.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
