"""
Imports networks of Caffe and torchvision, exports them for TensorFlow.js, and compares all logits with those of
independent readers.

    npm run check:weights -- --python PYTHON
    PYTHON scripts/check_weights.py

Needs numpy, protobuf, torch, torchvision, safetensors and opencv-python-headless before version 5 (whose dnn no longer
reads Caffe), Chromium, and the TypeScript built (npm run build). On Debian 12, a venv --system-site-packages over
python3-opencv and python3-torchvision has them, with safetensors and onnxruntime from pip. With fresh random
parameters, images and means, at full size:

  caffe-alexnet, caffe-caffenet   a .caffemodel in the V1 format and in the present one, and a mean image or mean values,
                                  written with Google's protobuf; OpenCV's dnn reads the network (its own prototxt here)
                                  and the .caffemodel, and sees the pixels in Caffe's order, blue first
  torchvision-alexnet             a state_dict of torchvision's own alexnet; PyTorch computes

and logits agree to 2e-5 of the largest one: float32 sums in another order differ by some 6e-7, more through the
frequency domain, and eight layers in a row stay below 1e-5. Each network is then exported as a graph model, which
TensorFlow.js reads and computes by its backends cpu, wasm and WebGL, to 1e-4 of the largest logit. Images are PNGs of
256×256, so that no program resizes.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import cv2
import numpy
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from safetensors.torch import save_file
from torch import nn

try:
    import torchvision
except RuntimeError:
    # Operators that were built for CUDA do not load into a PyTorch for CPUs. alexnet uses none of them.
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = 3
TOLERANCE = 2e-5
GRAPH_TOLERANCE = 1e-4

Field = descriptor_pb2.FieldDescriptorProto
ONE, MANY = Field.LABEL_OPTIONAL, Field.LABEL_REPEATED


def caffe_messages():
    """Caffe's messages, as far as trained networks need them, under the field numbers of its caffe.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="weights", syntax="proto2")

    def message(name, *fields):
        entry = file.message_type.add(name=name)
        for number, field, label, kind in fields:
            added = entry.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = Field.TYPE_MESSAGE, f".weights.{kind}"
            else:
                added.type = kind
            added.options.packed = label == MANY and kind in (Field.TYPE_FLOAT, Field.TYPE_INT64)

    message("Shape", (1, "dim", MANY, Field.TYPE_INT64))
    message("Blob", *((number, name, ONE, Field.TYPE_INT32) for number, name in enumerate(("num", "channels", "height", "width"), 1)),
            (5, "data", MANY, Field.TYPE_FLOAT), (7, "shape", ONE, "Shape"))
    message("Layer", (1, "name", ONE, Field.TYPE_STRING), (2, "type", ONE, Field.TYPE_STRING), (7, "blobs", MANY, "Blob"))
    message("V1Layer", (4, "name", ONE, Field.TYPE_STRING), (5, "type", ONE, Field.TYPE_INT32), (6, "blobs", MANY, "Blob"))
    message("Net", (1, "name", ONE, Field.TYPE_STRING), (2, "layers", MANY, "V1Layer"), (100, "layer", MANY, "Layer"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"weights.{name}")) for name in ("Net", "Blob")}


MESSAGES = caffe_messages()
V1_CONVOLUTION, V1_INNER_PRODUCT = 4, 14
SHAPES = {
    "conv1": (96, 3, 11, 11), "conv2": (256, 48, 5, 5), "conv3": (384, 256, 3, 3), "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3), "fc6": (4096, 9216), "fc7": (4096, 4096), "fc8": (1000, 4096),
}


def random_parameters(random):
    """Weights that keep activations of order 1 through ReLU; those of conv1 for pixels of 0 to 255."""
    weights = {name: random.normal(0, (2 / numpy.prod(shape[1:])) ** 0.5, shape) for name, shape in SHAPES.items()}
    # Activations of order 10 let LRN's neighbours count, alpha being 2e-5.
    weights["conv1"] *= 10 / 64
    biases = {name: random.normal(0, 0.1, shape[0]) for name, shape in SHAPES.items()}
    return {name: (weights[name].astype(numpy.float32), biases[name].astype(numpy.float32)) for name in SHAPES}


def write_caffemodel(file, parameters, version):
    net = MESSAGES["Net"](name="random")
    for name, blobs in parameters.items():
        is_conv = name.startswith("conv")
        if version == "V1":
            layer = net.layers.add(name=name, type=V1_CONVOLUTION if is_conv else V1_INNER_PRODUCT)
        else:
            layer = net.layer.add(name=name, type="Convolution" if is_conv else "InnerProduct")
        for values in blobs:
            blob = layer.blobs.add(data=values.ravel())
            if version == "V1":
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - values.ndim) + values.shape
            else:
                blob.shape.dim.extend(values.shape)
    file.write_bytes(net.SerializeToString())


def prototxt(pool_first):
    lines = ['name: "check" input: "data" input_dim: 1 input_dim: 3 input_dim: 227 input_dim: 227']
    bottom = "data"

    def layer(name, kind, settings="", in_place=False):
        nonlocal bottom
        top = bottom if in_place else name
        lines.append(f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {settings} }}')
        bottom = top

    def convolution(name, kernels, size, settings=""):
        layer(name, "Convolution", f"convolution_param {{ num_output: {kernels} kernel_size: {size} {settings} }}")
        layer(f"relu_{name}", "ReLU", in_place=True)

    def between(number):
        steps = [("norm", "LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"),
                 ("pool", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")]
        for name, kind, settings in reversed(steps) if pool_first else steps:
            layer(f"{name}{number}", kind, settings)

    convolution("conv1", 96, 11, "stride: 4")
    between(1)
    convolution("conv2", 256, 5, "pad: 2 group: 2")
    between(2)
    convolution("conv3", 384, 3, "pad: 1")
    convolution("conv4", 384, 3, "pad: 1 group: 2")
    convolution("conv5", 256, 3, "pad: 1 group: 2")
    layer("pool5", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")
    for name, units in (("fc6", 4096), ("fc7", 4096), ("fc8", 1000)):
        layer(name, "InnerProduct", f"inner_product_param {{ num_output: {units} }}")
        if name != "fc8":
            layer(f"relu_{name}", "ReLU", in_place=True)
    return "\n".join(lines)


def node(script, *arguments):
    command = ["node", ROOT / "dist" / script, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def check(name, folder, run, images, expected):
    compare(name, node("scripts/run_logits.js", run, *images), expected, TOLERANCE)
    graph = folder / "graph"
    node("src/cli.js", "export", run, graph, "--format", "tfjs")
    # By WebGL in software, an image takes half a minute or more.
    for backend, count in (("cpu", IMAGES), ("wasm", IMAGES), ("webgl", 1)):
        logits = node("scripts/graph_model_logits.js", backend, graph, *images[:count])
        compare(f"  its TensorFlow.js graph model on {backend}", logits, expected, GRAPH_TOLERANCE)
    shutil.rmtree(graph)


def compare(name, printed, expected, tolerance):
    logits = numpy.array(json.loads(printed), numpy.float32)
    difference = numpy.abs(logits - expected[: len(logits)]).max() / numpy.abs(expected).max()
    spread = expected.std(0).mean() / numpy.abs(expected).max()
    if not difference < tolerance < spread / 100:
        raise SystemExit(f"FAILED {name}: logits differ by {difference:.1e} of the largest; between images they vary by {spread:.2g}")
    print(f"{name}: logits within {difference:.1e} of the largest; between images they vary by {spread:.2g} of it", flush=True)


def write_images(folder, random):
    pixels = random.integers(0, 256, (IMAGES, 32, 32, 3), numpy.uint8).repeat(8, 1).repeat(8, 2)
    files = [folder / f"{index}.png" for index in range(IMAGES)]
    for file, image in zip(files, pixels):
        # OpenCV writes pixels that are blue first.
        cv2.imwrite(str(file), image[..., ::-1])
    return files, pixels


def check_caffe(name, pool_first, folder, random, files, pixels):
    parameters = random_parameters(random)
    (folder / "deploy.prototxt").write_text(prototxt(pool_first))
    mean = random.uniform(90, 130, (256, 256, 3)).astype(numpy.float32)
    blob = MESSAGES["Blob"](num=1, channels=3, height=256, width=256, data=mean[..., ::-1].transpose(2, 0, 1).ravel())
    (folder / "mean.binaryproto").write_bytes(blob.SerializeToString())
    for version, mean_option, subtracted in (
        ("V1", folder / "mean.binaryproto", mean), ("current", "104,117,123", numpy.array([123, 117, 104], numpy.float32)),
    ):
        model = folder / f"{version}.caffemodel"
        write_caffemodel(model, parameters, version)
        net = cv2.dnn.readNetFromCaffe(str(folder / "deploy.prototxt"), str(model))
        centre = slice(14, 14 + 227)
        inputs = (pixels - subtracted)[:, centre, centre, ::-1].transpose(0, 3, 1, 2)
        expected = []
        for image in inputs:
            net.setInput(numpy.ascontiguousarray(image[None], numpy.float32))
            expected.append(net.forward()[0].copy())
        run = folder / f"{name}-{version}"
        node("src/cli.js", "import", model, "--preset", name, "--mean", mean_option, "--out", run)
        model.unlink()
        kind = "mean image" if version == "V1" else "mean values"
        check(f"{name}, {version} format, {kind}, against OpenCV {cv2.__version__}", folder, run, files, numpy.stack(expected))


def check_torchvision(folder, files, pixels):
    model = torchvision.models.alexnet().eval()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            # Keeps activations of order 1 through ReLU, so that the logits tell the images apart.
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
            nn.init.normal_(module.bias, std=0.1)
    save_file(model.state_dict(), folder / "alexnet.safetensors")
    run = folder / "torchvision"
    node("src/cli.js", "import", folder / "alexnet.safetensors", "--preset", "torchvision-alexnet", "--out", run)
    centre = slice(16, 16 + 224)
    images = torch.tensor(pixels[:, centre, centre]).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = model((images - mean) / std).numpy()
    check(f"torchvision-alexnet against torchvision {torchvision.__version__}", folder, run, files, expected)


def main():
    seed = int.from_bytes(numpy.random.bytes(4), "little")
    print(f"seed {seed}")
    torch.manual_seed(seed)
    random = numpy.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        files, pixels = write_images(folder, random)
        check_torchvision(folder, files, pixels)
        for name, pool_first in (("caffe-alexnet", False), ("caffe-caffenet", True)):
            check_caffe(name, pool_first, folder, random, files, pixels)


if __name__ == "__main__":
    sys.exit(main())
