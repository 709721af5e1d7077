#!/usr/bin/env python3
"""The PyTorch baseline of the benchmark: trains the network of a layer list, step by step on request.

`npm run bench -- --peer-python PYTHON` starts it and interleaves its steps with ours, so that both meet the
same load of the machine. One JSON request per line on stdin, one JSON answer per line on stdout:

  {"prepare": {"network": {"input", "layers"}, "towers": 1, "classes": 10, "batch": 128, "threads": 2,
               "device": "cpu" | "cuda", "precision": "float32" | "tf32" | "bf16"}}
      builds the network (src/model/layers.ts; T towers as T groups) in float32, with SGD and momentum 0.9, and
      a fixed random batch, in each way that PyTorch has of running it: eager and torch.compile, contiguous and
      channels last. It times three steps of each and keeps the fastest. tf32 is a switch of CUDA's libraries,
      which is off for float32; bf16 is autocast. On CUDA only channels last is tried.
      ->  {"torch", "threads", "parameters", "groups", "chosen", "tried": {way: seconds, or why it failed}}
  {"step": n}       n training steps            ->  {"seconds": [n numbers], "loss": of the last}
  {"layer": name}   that conv or fc layer alone, eager in the chosen memory format, forward and backward,
                    median of several           ->  {"seconds"}
  {"quit": true}    ends it, as does the end of stdin; no answer

A request that fails is answered by {"error": message}.

Try by hand:
  echo '{"prepare": {...}}' | python3 scripts/peer.py
"""

import contextlib
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

LAYER_REPEATS = 5
PRECISIONS = ("float32", "tf32", "bf16")


class TowersLrn(nn.Module):
    """Local response normalization within each tower's channels."""

    def __init__(self, layer, towers):
        super().__init__()
        self.towers = towers
        # PyTorch divides its alpha by size; ours multiplies the plain sum.
        self.lrn = nn.LocalResponseNorm(layer["size"], layer["alpha"] * layer["size"], layer["beta"], layer["k"])

    def forward(self, x):
        if self.towers == 1:
            return self.lrn(x)
        return torch.cat([self.lrn(tower) for tower in x.chunk(self.towers, 1)], 1)


class GroupedLinear(nn.Conv1d):
    """A fully-connected layer whose towers each read their own features: [N, in] to [N, out]."""

    def __init__(self, inputs, outputs, towers):
        super().__init__(inputs, outputs, 1, groups=towers)

    def forward(self, x):
        return super().forward(x.unsqueeze(2)).squeeze(2)


def build(network, towers, classes):
    """The layers as modules in order. The image is read whole by the first layer."""
    modules = nn.Sequential()
    channels = network["input"]["channels"]
    height, width = network["input"]["height"], network["input"]["width"]
    first = True
    for index, layer in enumerate(network["layers"]):
        kind = layer["type"]
        name = layer.get("name", f"{kind}{index}")
        groups = towers if layer.get("reads") == "own" and not first else 1
        if kind == "conv":
            modules.add_module(name, nn.Conv2d(
                channels, layer["kernels"], layer["size"], layer["stride"], layer["pad"], groups=groups))
            channels = layer["kernels"]
            height, width = (1 + (length + 2 * layer["pad"] - layer["size"]) // layer["stride"]
                             for length in (height, width))
        elif kind == "fc":
            if height * width > 1:
                modules.add_module(f"flatten{index}", nn.Flatten())
            inputs = channels * height * width
            outputs = classes if layer["units"] == "classes" else layer["units"]
            modules.add_module(name, nn.Linear(inputs, outputs) if groups == 1
                               else GroupedLinear(inputs, outputs, groups))
            channels, height, width = outputs, 1, 1
        elif kind == "relu":
            modules.add_module(name, nn.ReLU(inplace=True))
        elif kind == "lrn":
            modules.add_module(name, TowersLrn(layer, towers))
        elif kind == "maxPool":
            modules.add_module(name, nn.MaxPool2d(layer["size"], layer["stride"]))
            height, width = (1 + (length - layer["size"]) // layer["stride"] for length in (height, width))
        elif kind == "dropout":
            modules.add_module(name, nn.Dropout(layer["rate"]))
        else:
            raise ValueError(f"unknown layer type {kind}")
        first = first and kind not in ("conv", "fc")
    return modules


WAYS = {
    "eager": (torch.contiguous_format, False),
    "eager, channels last": (torch.channels_last, False),
    "torch.compile": (torch.contiguous_format, True),
    "torch.compile, channels last": (torch.channels_last, True),
}


def ways_on(device):
    return [way for way in WAYS if device == "cpu" or way.endswith("channels last")]


class Trainer:
    """The network in one memory format, eager or compiled."""

    def __init__(self, way, network, towers, classes, batch, device, precision):
        memory_format, compiled = WAYS[way]
        torch.manual_seed(0)
        self.device, self.precision = device, precision
        self.model = build(network, towers, classes).to(device, memory_format=memory_format)
        self.run = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, fused=True)
        shape = network["input"]
        self.images = torch.randn(batch, shape["channels"], shape["height"], shape["width"]).to(
            device, memory_format=memory_format)
        self.labels = torch.randint(0, classes, (batch,)).to(device)

    def context(self):
        if self.precision == "bf16":
            return torch.autocast(self.device, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def now(self):
        """Seconds, once the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def step(self):
        """Seconds and loss of one training step."""
        start = self.now()
        self.optimizer.zero_grad()
        with self.context():
            loss = functional.cross_entropy(self.run(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return self.now() - start, loss.item()


class Peer:
    def __init__(self, threads, device, precision, **recipe):
        torch.set_num_threads(threads)
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision}")
        if device == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
        self.tried = {}
        best = None
        for way in ways_on(device):
            try:
                trainer = Trainer(way, device=device, precision=precision, **recipe)
                trainer.step()
                seconds = statistics.median(trainer.step()[0] for _ in range(3))
            except Exception as error:  # No compiler, for instance: the other ways still count.
                self.tried[way] = f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            self.tried[way] = seconds
            if best is None or seconds < best:
                best, self.chosen, self.trainer = seconds, way, trainer
        if best is None:
            raise ValueError(f"PyTorch trains in no way: {self.tried}")

    def describe(self):
        modules = self.trainer.model
        return {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "parameters": sum(parameter.numel() for parameter in modules.parameters()),
            "groups": {name: module.groups for name, module in modules.named_modules() if hasattr(module, "groups")},
            "chosen": self.chosen,
            "tried": self.tried,
        }

    def step(self, count):
        steps = [self.trainer.step() for _ in range(count)]
        return {"seconds": [seconds for seconds, _ in steps], "loss": steps[-1][1] if steps else None}

    def layer(self, wanted):
        x = self.trainer.images
        for index, (name, module) in enumerate(self.trainer.model.named_children()):
            if name == wanted:
                return {"seconds": self.layer_seconds(module, x, needs_gradient=index > 0)}
            with torch.no_grad(), self.trainer.context():
                x = module(x)
        raise ValueError(f"no layer {wanted}")

    def layer_seconds(self, module, x, needs_gradient):
        x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_(needs_gradient)
        seconds = []
        for _ in range(1 + LAYER_REPEATS):
            x.grad = None
            module.zero_grad()
            start = self.trainer.now()
            with self.trainer.context():
                y = module(x)
            forward = self.trainer.now() - start
            gradient = torch.randn_like(y)
            start = self.trainer.now()
            y.backward(gradient)
            seconds.append(forward + self.trainer.now() - start)
        return statistics.median(seconds[1:])


def main():
    peer = None
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if "quit" in request:
                return
            if "prepare" in request:
                peer = Peer(**request["prepare"])
                answer = peer.describe()
            elif peer is None:
                raise ValueError("prepare comes first")
            elif "step" in request:
                answer = peer.step(request["step"])
            elif "layer" in request:
                answer = peer.layer(request["layer"])
            else:
                raise ValueError(f"unknown request {sorted(request)}")
        except Exception as error:  # The benchmark reads the answer and decides.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
