"""Reads a run's event files with TensorBoard's own reader and compares them with the run's other files.

    python scripts/check_tensorboard.py runs/demo

Needs the packages tensorboard, safetensors, numpy and pillow. Prints what it compared and the largest
difference; ends with 1 where something is missing or differs by more than float32's rounding.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(run: Path) -> None:
    log = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    log.Reload()
    tags = log.Tags()
    compare_scalars(log, [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()])
    compare_histograms(log, tags["histograms"], latest_checkpoint(run))
    read_images(log, tags["images"])


def compare_scalars(log: EventAccumulator, metrics: list[dict]) -> None:
    names = {
        "train/loss": ("train", "loss"),
        "train/accuracy": ("train", "accuracy"),
        "train/learning_rate": ("train", "learningRate"),
        "speed/images_per_second": ("train", "imagesPerSecond"),
        "time/step_ms": ("train", "stepMs"),
        "test/loss": ("test", "loss"),
        "test/top1": ("test", "top1"),
        "test/top5": ("test", "top5"),
    }
    for tag, (event, field) in names.items():
        read = [(scalar.step, scalar.value) for scalar in log.Scalars(tag)]
        expected = [(line["step"], line[field]) for line in metrics if line["event"] == event]
        check([step for step, _ in read] == [step for step, _ in expected], f"the steps of {tag}")
        worst = max(abs(a - b) / max(abs(b), 1e-12) for (_, a), (_, b) in zip(read, expected))
        check(worst < 1e-6, f"{tag} differs by {worst}")
        print(f"{tag}: {len(read)} steps, largest relative difference {worst:.1e}")


def compare_histograms(log: EventAccumulator, tags: list[str], checkpoint: Path) -> None:
    stored = {"weights": load_file(checkpoint / "model.safetensors"), "updates": load_file(checkpoint / "optimizer.safetensors")}
    ranks = 1 + max(int(tag.rsplit("_", 1)[1]) for tag in tags)
    compared = {kind: 0 for kind in (*stored, "update_ratio")}
    worst = 0.0
    for name, weights in stored["weights"].items():
        for rank in range(ranks):
            shares = {kind: np.split(tensors[name], ranks)[rank].astype(np.float64) for kind, tensors in stored.items()}
            kernels = {kind: np.sqrt((share.reshape(len(share), -1) ** 2).sum(1)) for kind, share in shares.items()}
            nonzero = kernels["weights"] > 0
            shares["update_ratio"] = kernels["updates"][nonzero] / kernels["weights"][nonzero]
            for kind, values in shares.items():
                if values.size == 0:
                    continue
                last = log.Histograms(f"{kind}/{name}/rank_{rank}")[-1].histogram_value
                check(last.num == values.size == sum(last.bucket), f"the count of {kind} of {name} of rank {rank}")
                # Float32's rounding may put a value that is near a limit on either side of it.
                slack = 1e-6 * max(abs(last.min), abs(last.max))
                for limit, upto in zip(last.bucket_limit, np.cumsum(last.bucket)):
                    least, most = (values < limit - slack).sum(), (values <= limit + slack).sum()
                    check(least <= upto <= most, f"{kind} of {name} of rank {rank}: {upto} up to {limit}")
                scale = max(abs(values).max(), 1e-12)
                ends = max(abs(last.min - values.min()), abs(last.max - values.max())) / scale
                check(ends < 1e-6, f"{kind} of {name} of rank {rank} ends elsewhere, by {ends}")
                worst = max(worst, ends)
                compared[kind] += 1
    for kind, count in compared.items():
        print(f"{kind}: {count} histograms of {ranks} ranks")
    print(f"largest relative difference of their ends {worst:.1e}")


def read_images(log: EventAccumulator, tags: list[str]) -> None:
    check(len(tags) > 0, "no image")
    for tag in tags:
        last = log.Images(tag)[-1]
        image = Image.open(io.BytesIO(last.encoded_image_string))
        check(image.size == (last.width, last.height), f"the size of {tag}")
        print(f"{tag}: {len(log.Images(tag))} images of {image.width}x{image.height} pixels")


def latest_checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").glob("step-*"), key=lambda path: int(path.name.split("-")[1]))


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"wrong: {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
