"""Writes test/golden/meta.mat: a small file like that of ILSVRC2012's devkit, for test/data/imagenet.test.ts.

    python scripts/golden_devkit.py        (needs scipy and numpy)

Three classes whose numbers are not in the order of their names, and one synset above them.
"""

from pathlib import Path

import numpy
from scipy.io import savemat

FIELDS = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
SYNSETS = [
    (1, "n02119789", "kit fox, Vulpes macrotis", "small grey fox", 0, [], 0, 1300),
    (2, "n02100735", "English setter", "an English breed", 0, [], 0, 1300),
    (3, "n01440764", "tench, Tinca tinca", "freshwater dace-like game fish", 0, [], 0, 1300),
    (1001, "n00001740", "entity", "that which is", 3, [1.0, 2.0, 3.0], 19, 0),
]


def main() -> None:
    synsets = numpy.empty((len(SYNSETS), 1), dtype=[(field, object) for field in FIELDS])
    for row, synset in enumerate(SYNSETS):
        for field, value in zip(FIELDS, synset):
            is_text = isinstance(value, str)
            synsets[row, 0][field] = value if is_text else numpy.array(value, dtype=numpy.float64)
    path = Path(__file__).parent.parent / "test" / "golden" / "meta.mat"
    savemat(path, {"synsets": synsets}, do_compression=True)


if __name__ == "__main__":
    main()
