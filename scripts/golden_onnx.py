"""
Checks the ONNX export against PyTorch with ONNX Runtime, and records the files that passed.

    PYTHON scripts/golden_onnx.py

Needs onnx, onnxruntime, numpy and safetensors, and the TypeScript built (npm run build). The networks,
parameters, images and logits are those that scripts/golden.py wrote with PyTorch. Writes
test/golden/onnx.json: the SHA-256 of each model, which the tests compare with what is exported now.
"""

import hashlib
import json
import pathlib
import subprocess
import tempfile

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "test" / "golden"
TOLERANCE = 1e-4


def export(name, file):
    """Writes the golden network `name` as an ONNX model of any batch."""
    subprocess.run(["node", ROOT / "dist/scripts/golden_onnx.js", name, file], check=True)


def logits(model, images):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images})[0]


sums = {}
for name in ("dense", "grouped"):
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    images = numpy.ascontiguousarray(tensors["input"].transpose(0, 3, 1, 2))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.onnx"
        export(name, file)
        model = file.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    for count in (len(images), 1):
        difference = numpy.abs(logits(model, images[:count]) - tensors["logits"][:count]).max()
        assert difference < TOLERANCE, f"{name}: logits differ by {difference}"
        print(f"{name}, batch {count}: logits within {difference:.1e} of PyTorch's")
    sums[name] = hashlib.sha256(model).hexdigest()

(GOLDEN / "onnx.json").write_text(json.dumps(sums, indent=2) + "\n")
