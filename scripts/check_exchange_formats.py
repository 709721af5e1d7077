"""
Round trips of a model between PyTorch, this program and ONNX Runtime, at the seed's size.

    PYTHON scripts/check_exchange_formats.py

Needs torch, numpy, pillow, safetensors and onnxruntime, and the TypeScript built (npm run build). For the seed's network,
dense and grouped in two towers, with fresh random parameters and images:

  torch → import → export → torch   every tensor the same to the bit, loaded with strict=True
  torch → import → evaluate         mean loss within 1e-5 of PyTorch's, top-1 and top-5 equal
  torch → import → export onnx      ONNX Runtime's logits within 1e-4 of PyTorch's: batch 1, and dynamic with 1, 2 and 5

Tolerances: a layer's float32 sums, in another order on either side, differ by some 6e-7 of values of order 1; eight
layers in a row stay below 1e-5.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnxruntime
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = 24
LOGITS_TOLERANCE = 1e-4
LOSS_TOLERANCE = 1e-5


class Seed(nn.Module):
    """AlexNet as config/cifar10-seed.json has it: pooling before LRN, whose window stays inside a tower."""

    def __init__(self, towers):
        super().__init__()
        self.towers = towers
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=towers)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=towers)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=towers)
        self.fc1 = nn.Linear(9216, 4096)
        self.fc2 = nn.Linear(4096, 4096)
        self.fc3 = nn.Linear(4096, 10)
        for module in self.children():
            # Keeps activations of order 1 through ReLU, so that the logits tell the images apart.
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
            nn.init.normal_(module.bias, std=0.1)

    def normalized(self, x):
        return torch.cat([functional.local_response_norm(tower, 5, 1e-4, 0.75, 2) for tower in x.chunk(self.towers, 1)], 1)

    def forward(self, x):
        x = self.normalized(functional.max_pool2d(functional.relu(self.conv1(x)), 3, 2))
        x = self.normalized(functional.max_pool2d(functional.relu(self.conv2(x)), 3, 2))
        x = functional.relu(self.conv4(functional.relu(self.conv3(x))))
        x = functional.max_pool2d(functional.relu(self.conv5(x)), 3, 2)
        x = functional.relu(self.fc2(functional.relu(self.fc1(x.flatten(1)))))
        return self.fc3(x)


def twotower(*arguments):
    command = ["node", ROOT / "dist/src/cli.js", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def write_cifar(folder, random):
    """Random images in CIFAR-10's binary layout; returns the test images as the network reads them, and their labels."""
    folder.mkdir()
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        labels = random.integers(0, 10, (IMAGES, 1), numpy.uint8)
        # Blocks of 8 × 8: an enlarged noise of single pixels is grey.
        planes = random.integers(0, 256, (IMAGES, 3, 4, 4), numpy.uint8).repeat(8, 2).repeat(8, 3)
        (folder / name).write_bytes(numpy.concatenate([labels, planes.reshape(IMAGES, -1)], 1).tobytes())
    resized = [Image.fromarray(image).resize((227, 227), Image.Resampling.BILINEAR) for image in planes.transpose(0, 2, 3, 1)]
    pixels = torch.tensor(numpy.stack([numpy.asarray(image) for image in resized])).permute(0, 3, 1, 2)
    return (pixels / 255 - 0.5) / 0.5, torch.tensor(labels[:, 0].astype(numpy.int64))


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAILED {what}")
    print(what)


def check_parameters(name, model, run, folder):
    file = folder / f"{name}-exported.safetensors"
    twotower("export", run, file)
    exported = load_file(file)
    Seed(model.towers).load_state_dict(exported, strict=True)
    same = all(torch.equal(exported[key], tensor) for key, tensor in model.state_dict().items())
    check(same, f"{name}: torch → import → export → torch: {len(exported)} tensors the same to the bit")


def check_evaluation(name, logits, labels, run, data):
    result = json.loads(twotower("evaluate", run, "--data", data, "--cpu", str(1), "--json"))
    difference = abs(result["loss"] - functional.cross_entropy(logits, labels).item())
    ranked = logits.argsort(1, descending=True) == labels[:, None]
    expected = [ranked[:, :1].any(1).double().mean().item(), ranked[:, :5].any(1).double().mean().item()]
    equal = numpy.allclose([result["top1"], result["top5"]], expected, atol=1e-12)
    check(equal and difference < LOSS_TOLERANCE,
          f"{name}: torch → import → evaluate: loss within {difference:.1e} of {result['loss']:.4f}, top-1 {result['top1']:.4f} and top-5 {result['top5']:.4f} equal")


def check_onnx(name, images, logits, run, folder, batch):
    file = folder / f"{name}-{batch}.onnx"
    twotower("export", run, file, "--format", "onnx", "--batch", batch)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    counts = (1, 2, 5) if batch == "dynamic" else (int(batch),)
    worst = max(numpy.abs(session.run(["logits"], {"images": images[:count].numpy()})[0] - logits[:count].numpy()).max()
                for count in counts)
    check(worst < LOGITS_TOLERANCE,
          f"{name}: torch → import → ONNX Runtime, batch {batch}: logits within {worst:.1e} of PyTorch's, which vary by {logits.std(0).mean():.2f}")


def main():
    seed = int.from_bytes(numpy.random.bytes(4), "little")
    print(f"torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, seed {seed}")
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        images, labels = write_cifar(folder / "data", numpy.random.default_rng(seed))
        for name, towers in (("dense", 1), ("grouped", 2)):
            model = Seed(towers).eval()
            with torch.no_grad():
                logits = model(images)
            save_file(model.state_dict(), folder / f"{name}.safetensors")
            run = folder / name
            twotower("import", folder / f"{name}.safetensors", "--preset", "cifar10-seed", "--out", run)
            check_parameters(name, model, run, folder)
            check_evaluation(name, logits, labels, run, folder / "data")
            for batch in ("1", "dynamic"):
                check_onnx(name, images, logits, run, folder, batch)


if __name__ == "__main__":
    sys.exit(main())
