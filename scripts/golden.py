#!/usr/bin/env python3
"""Golden tensors: what PyTorch computes for three small networks, forward and backward.

    python3 -m pip install torch numpy safetensors
    python3 scripts/golden.py            # writes test/golden/{dense,grouped,local}.{safetensors,json}

Not run by the tests: its output is committed, so that they need neither Python nor PyTorch.

  dense    the seed's network: one tower, ReLU, max-pool, LRN
  grouped  the paper's network with two towers: ReLU, LRN, max-pool; conv2, conv4 and conv5 read their own
           tower, conv3 and the fully-connected layers read both; LRN's window stays inside a tower
  local    what cuda-convnet has besides: convolutions whose kernels differ from place to place, reading their own
           tower or both, windows that reach past the far edges, normalization within a map

All are reduced in width, without dropout. No input is square, and the last feature maps are not either, so that
exchanged axes or a flattening in another order than C, H, W show.

X.safetensors holds, float32:
  input             [N, H, W, 3], already normalized
  labels            [N], class indices
  parameter.NAME    canonical form: PyTorch's layout, [out, in / groups, kh, kw] or [out, in]
  logits            [N, classes]
  loss              [], mean cross-entropy
  gradient.NAME     of the loss
X.json holds {"towers", "classes", "network"}, the network as a layer list (src/model/layers.ts).

Parameters and input are rounded to float32 first; everything is computed from those in float64, then
rounded: the stored values are exact to half a unit in the last place. Weights are N(0, 2 / fan-in) and biases
N(0, 0.3^2), which keeps activations of order 1 through ReLU. Seeds are tried in turn until no pre-activation
of a ReLU is closer to 0 than MARGIN and no pooling window's two largest values are closer to each other than
MARGIN (equal zeros aside, which ReLU's gradient silences): float32 rounding, about 1e-6 here, then cannot send
a gradient another way. Autograd is checked against finite differences before anything is written.
"""

import json
import pathlib

import numpy
import torch
from safetensors.numpy import save_file
from torch.nn import functional

MARGIN = 1e-4
BATCH = 3
CLASSES = 10
LARGEST_FILE = 400_000
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden"


def conv(name, kernels, size, stride, pad, reads):
    recipe = {"initialization": "kaimingUniform"}
    return {"type": "conv", "name": name, "kernels": kernels, "size": size, "stride": stride,
            "pad": pad, "reads": reads, "weight": recipe, "bias": recipe}


def fully_connected(name, units):
    recipe = {"initialization": "kaimingUniform"}
    return {"type": "fc", "name": name, "units": units, "reads": "all", "weight": recipe, "bias": recipe}


def local(name, kernels, size, pad, reads):
    recipe = {"initialization": "kaimingUniform"}
    return {"type": "local", "name": name, "kernels": kernels, "size": size, "pad": pad, "reads": reads,
            "weight": recipe, "bias": recipe}


def layer_list(own, between):
    """`own`: what conv2, conv4 and conv5 read; `between`: the layers after conv1's and conv2's ReLU."""
    relu = {"type": "relu"}
    pool = {"type": "maxPool", "size": 3, "stride": 2}
    return [
        conv("conv1", 16, 11, 4, 0, "all"), relu, *between,
        conv("conv2", 12, 5, 1, 2, own), relu, *between,
        conv("conv3", 16, 3, 1, 1, "all"), relu,
        conv("conv4", 20, 3, 1, 1, own), relu,
        conv("conv5", 16, 3, 1, 1, own), relu, pool,
        fully_connected("fc1", 24), relu,
        fully_connected("fc2", 20), relu,
        fully_connected("fc3", "classes"),
    ]


def networks():
    """Name: (towers, input, layer list). LRN's constants are far from the paper's, so that its part is not lost in
    rounding: with alpha = 1e-4 it would change gradients by less than the tests' tolerance."""
    lrn = {"type": "lrn", "size": 5, "k": 2, "alpha": 0.05, "beta": 0.75}
    pool = {"type": "maxPool", "size": 3, "stride": 2}
    within_map = {"type": "rnorm", "size": 5, "k": 2, "alpha": 0.02, "beta": 0.75}
    relu = {"type": "relu"}
    large = {"height": 67, "width": 99, "channels": 3}
    # conv1's windows and both pools' reach past one of the far edges or both, by a column or a row.
    small = {"height": 18, "width": 26, "channels": 3}
    layers = [
        {**conv("conv1", 8, 5, 2, 1, "all"), "ceil": True}, within_map, relu, {**pool, "ceil": True},
        local("local2", 12, 3, 1, "own"), relu, within_map, {**pool, "ceil": True},
        local("local3", 8, 2, 0, "all"), relu,
        fully_connected("fc1", "classes"),
    ]
    return {
        "dense": (1, large, layer_list("all", [pool, lrn])),
        "grouped": (2, large, layer_list("own", [lrn, pool])),
        "local": (2, small, layers),
    }


def places(layer, lengths):
    """Of a window along each axis."""
    reach = [length + 2 * layer.get("pad", 0) - layer["size"] for length in lengths]
    stride = layer.get("stride", 1)
    return [1 + (-(-length // stride) if layer.get("ceil") else length // stride) for length in reach]


def draw_parameters(layers, towers, extents, random):
    """Canonical parameters as float32-rounded float64 tensors, by name."""
    parameters = {}
    height, width, channels = extents["height"], extents["width"], extents["channels"]
    for layer in layers:
        if layer["type"] == "conv":
            groups = groups_of(layer, towers, parameters)
            shape = [layer["kernels"], channels // groups, layer["size"], layer["size"]]
            height, width = places(layer, (height, width))
        elif layer["type"] == "local":
            groups = groups_of(layer, towers, parameters)
            height, width = places(layer, (height, width))
            shape = [layer["kernels"], height, width, channels // groups, layer["size"], layer["size"]]
        elif layer["type"] == "fc":
            shape = [CLASSES if layer["units"] == "classes" else layer["units"], channels * height * width]
            height = width = 1
        else:
            if layer["type"] == "maxPool":
                height, width = places(layer, (height, width))
            continue
        channels = shape[0]
        is_local = layer["type"] == "local"
        weight = random.standard_normal(shape) * numpy.sqrt(2 / numpy.prod(shape[3 if is_local else 1:]))
        bias = random.standard_normal(shape[:3] if is_local else shape[:1]) * 0.3
        parameters[layer["name"] + ".weight"] = rounded(weight)
        parameters[layer["name"] + ".bias"] = rounded(bias)
    return parameters


def groups_of(layer, towers, parameters_so_far):
    """The first layer reads the image, which every tower sees whole."""
    return towers if layer["reads"] == "own" and parameters_so_far else 1


def rounded(array):
    return torch.tensor(array.astype(numpy.float32).astype(numpy.float64))


def forward(layers, towers, parameters, image):
    """Logits, and the smallest margin at a ReLU or in a pooling window. `image`: [N, 3, H, W], float64."""
    x, margin = image, float("inf")
    for layer in layers:
        if layer["type"] in ("conv", "local", "fc"):
            weight, bias = parameters[layer["name"] + ".weight"], parameters[layer["name"] + ".bias"]
        if layer["type"] == "conv":
            groups = x.shape[1] // weight.shape[1]
            near = layer["pad"]
            far = [near + (count - 1) * layer["stride"] + layer["size"] - length - 2 * near
                   for count, length in zip(places(layer, x.shape[2:]), x.shape[2:])]
            x = functional.pad(x, [near, max(near, far[1]), near, max(near, far[0])])
            x = functional.conv2d(x, weight, bias, layer["stride"], groups=groups)
        elif layer["type"] == "local":
            x = local_convolution(x, weight, bias, layer["pad"])
        elif layer["type"] == "fc":
            x = functional.linear(x.flatten(1), weight, bias)
        elif layer["type"] == "relu":
            margin = min(margin, x.detach().abs().min().item())
            x = functional.relu(x)
        elif layer["type"] == "lrn":
            # PyTorch divides its alpha by size; ours multiplies the plain sum.
            x = torch.cat([functional.local_response_norm(
                tower, layer["size"], layer["alpha"] * layer["size"], layer["beta"], layer["k"])
                for tower in x.chunk(towers, 1)], 1)
        elif layer["type"] == "rnorm":
            # The window's sum of squares: the mean over all of its pixels, those outside counted as 0.
            squares = functional.avg_pool2d(x.square(), layer["size"], 1, layer["size"] // 2) * layer["size"] ** 2
            x = x * (layer["k"] + layer["alpha"] * squares) ** -layer["beta"]
        elif layer["type"] == "maxPool":
            far = [max(0, (count - 1) * layer["stride"] + layer["size"] - length)
                   for count, length in zip(places(layer, x.shape[2:]), x.shape[2:])]
            reached = functional.pad(x.detach(), [0, far[1], 0, far[0]], value=-float("inf"))
            windows = reached.unfold(2, layer["size"], layer["stride"]).unfold(3, layer["size"], layer["stride"])
            first, second = windows.flatten(4).topk(2).values.unbind(-1)
            if (first > 0).any():
                margin = min(margin, (first - second)[first > 0].min().item())
            x = functional.max_pool2d(x, layer["size"], layer["stride"], ceil_mode=layer.get("ceil", False))
        else:
            raise ValueError(f"layer type {layer['type']}")
    return x, margin


def local_convolution(x, weight, bias, pad):
    """`weight`: [out, height, width, in / groups, k, k]. Each place's kernels on the patch that unfold cuts out."""
    out, height, width, inputs, size, _ = weight.shape
    groups = x.shape[1] // inputs
    patches = functional.unfold(x, size, padding=pad).view(len(x), groups, inputs, size, size, height, width)
    kernels = weight.view(groups, out // groups, height, width, inputs, size, size)
    return torch.einsum("ngcijhw,gohwcij->ngohw", patches, kernels).reshape(len(x), out, height, width) + bias


def check_gradients(loss_of, parameters, random):
    """Compares autograd to central differences at three elements of every parameter."""
    step = 1e-6
    for name, parameter in parameters.items():
        values, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for index in random.choice(len(values), 3, replace=False):
            kept = values[index].item()
            with torch.no_grad():
                values[index] = kept + step
                above = loss_of().item()
                values[index] = kept - step
                below = loss_of().item()
                values[index] = kept
            difference = (above - below) / (2 * step)
            # The loss, of order 1, is exact to 1e-16: the quotient to about 1e-10.
            if abs(difference - gradient[index].item()) > 1e-8 + 1e-6 * abs(difference):
                raise SystemExit(f"{name}[{index}]: autograd {gradient[index]}, difference {difference}")


def write(name, towers, extents, layers):
    for seed in range(1000):
        random = numpy.random.default_rng(seed)
        image = rounded(random.standard_normal([BATCH, 3, extents["height"], extents["width"]]))
        labels = torch.tensor(random.integers(0, CLASSES, BATCH))
        parameters = draw_parameters(layers, towers, extents, random)
        with torch.no_grad():
            _, margin = forward(layers, towers, parameters, image)
        if margin >= MARGIN:
            break
    else:
        raise SystemExit(f"{name}: no seed keeps a margin of {MARGIN}")

    for parameter in parameters.values():
        parameter.requires_grad_()
    loss_of = lambda: functional.cross_entropy(forward(layers, towers, parameters, image)[0], labels)
    logits, _ = forward(layers, towers, parameters, image)
    loss = functional.cross_entropy(logits, labels)
    loss.backward()
    check_gradients(loss_of, parameters, random)

    tensors = {"input": image.permute(0, 2, 3, 1), "labels": labels, "logits": logits, "loss": loss}
    for key, parameter in parameters.items():
        tensors["parameter." + key] = parameter
        tensors["gradient." + key] = parameter.grad
    tensors = {key: numpy.ascontiguousarray(tensor.detach().numpy().astype(numpy.float32))
               for key, tensor in tensors.items()}
    path = FOLDER / f"{name}.safetensors"
    save_file(tensors, path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise SystemExit(f"{path}: {size} bytes are over {LARGEST_FILE}")
    network = {"towers": towers, "classes": CLASSES, "network": {"input": extents, "layers": layers}}
    path.with_suffix(".json").write_text(json.dumps(network, indent=2) + "\n")
    print(f"{path.name}: seed {seed}, margin {margin:.1e}, loss {loss.item():.6f}, {size} bytes")
    for key, parameter in parameters.items():
        print(f"  {key:13} {str(list(parameter.shape)):18} gradient rms {parameter.grad.square().mean().sqrt():.2e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.backends.nnpack.set_flags(False)  # It warns at every convolution where it is of no use.
    FOLDER.mkdir(parents=True, exist_ok=True)
    for network_name, (tower_count, input_extents, layer_specifications) in networks().items():
        write(network_name, tower_count, input_extents, layer_specifications)
