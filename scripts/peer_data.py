#!/usr/bin/env python3
"""The PyTorch peer of `npm run bench:data`: torchvision's transforms in a DataLoader, one pass on request.

    python3 scripts/peer_data.py FOLDER WORKERS BATCH SIZE

FOLDER is an ImageFolder. Prints a line of JSON when it is ready, {"torch", "torchvision"}, and for each line on
stdin one with the seconds of a pass over all whole batches: random crops of SIZE x SIZE, mirrored at random, as
uint8, as ours are.
"""

import json
import sys
import time

import torch
import torchvision
from torchvision import datasets, transforms


def main():
    folder, workers, batch, size = sys.argv[1], *map(int, sys.argv[2:])
    torch.set_num_threads(1)
    views = transforms.Compose(
        [
            transforms.RandomCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(folder, views),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
    )
    print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        images = sum(len(labels) for _, labels in loader)
        print(json.dumps({"seconds": time.perf_counter() - start, "images": images}), flush=True)


if __name__ == "__main__":
    main()
