"""Writes test/golden/views.json: windows of an image as torchvision cuts them, the average of ten views'
probabilities, colour noise and the subtraction of a mean image as NumPy computes them, for
test/data/golden_views.test.ts and test/training/evaluation.test.ts.

    python scripts/golden_views.py        (needs numpy, torch and torchvision)

Byte i of the image [height, width, 3] is the top byte of i * 2654435761 mod 2^32.
"""

import json
from pathlib import Path

import numpy
import torch
import torchvision
from torchvision.transforms import TenCrop
from torchvision.transforms.functional import crop, hflip, pad

HEIGHT, WIDTH = 12, 10
INPUT_HEIGHT, INPUT_WIDTH = 6, 4
PAD = 3
# (top, left) in the padded image, and whether mirrored.
WINDOWS = [(0, 0, False), (0, 6, True), (5, 2, True), (6, 3, False)]
CLASSES = 7


def flat(image: torch.Tensor) -> list[int]:
    """Channels last, as the bytes lie in a batch."""
    return image.permute(1, 2, 0).flatten().tolist()


def main() -> None:
    words = numpy.arange(HEIGHT * WIDTH * 3, dtype=numpy.uint64) * numpy.uint64(2654435761)
    pixels = ((words & numpy.uint64(0xFFFFFFFF)) >> numpy.uint64(24)).astype(numpy.uint8)
    pixels = pixels.reshape(HEIGHT, WIDTH, 3)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    padded = pad(image, [PAD])
    windows = []
    for top, left, mirrored in WINDOWS:
        window = crop(padded, top, left, HEIGHT, WIDTH)
        window = hflip(window) if mirrored else window
        windows.append({"top": top - PAD, "left": left - PAD, "mirrored": mirrored, "pixels": flat(window)})
    # torchvision's order: the corners, the centre, then all mirrored.
    ten = [flat(view) for view in TenCrop((INPUT_HEIGHT, INPUT_WIDTH))(image)]

    draw = numpy.random.default_rng(4)
    logits = torch.tensor(draw.normal(0, 3, (2, 10, CLASSES)).astype(numpy.float32))
    labels = [2, 5]
    probabilities = torch.softmax(logits.double(), dim=2).mean(dim=1)
    losses = [-torch.log(probabilities[image, label]).item() for image, label in enumerate(labels)]

    # The covariance's principal components, and the noise that the paper adds along them.
    colours = pixels.reshape(-1, 3).astype(numpy.float64)
    eigenvalues, columns = numpy.linalg.eigh(numpy.cov(colours, rowvar=False, bias=True))
    alphas = draw.normal(0, 0.1, 3)
    # The text's product with the eigenvalue needs a unit: pixels from 0 to 1.
    unit = numpy.linalg.eigh(numpy.cov(colours / 255, rowvar=False, bias=True))[0]
    noise = {
        "eigenvalue": 255 * columns @ (alphas * unit),
        "standardDeviation": columns @ (alphas * numpy.sqrt(eigenvalues)),
    }
    mean_image = draw.uniform(0, 255, pixels.shape).astype(numpy.float32)
    std = numpy.array([0.25, 0.5, 0.125])
    images = {
        scale: ((pixels + offset - mean_image.astype(numpy.float64)) / 255 / std).ravel().tolist()
        for scale, offset in noise.items()
    }

    golden = {
        "versions": {"numpy": numpy.__version__, "torchvision": torchvision.__version__},
        "shape": [HEIGHT, WIDTH],
        "input": [INPUT_HEIGHT, INPUT_WIDTH],
        "windows": windows,
        "tenCrop": ten,
        "averaging": {
            "logits": logits.tolist(),
            "labels": labels,
            "probabilities": probabilities.tolist(),
            "loss": sum(losses) / len(losses),
        },
        "colour": {
            "eigenvalues": eigenvalues.tolist(),
            "eigenvectors": columns.T.tolist(),
            "alphas": alphas.tolist(),
            "noise": {scale: offset.tolist() for scale, offset in noise.items()},
        },
        "normalized": {"meanImage": mean_image.ravel().tolist(), "std": std.tolist(), "images": images},
    }
    path = Path(__file__).parent.parent / "test" / "golden" / "views.json"
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
