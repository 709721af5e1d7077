#!/usr/bin/env python3
"""The seed's network in PyTorch, trained batch by batch on request beside ours.

`npm run compare:seed -- --peer-python PYTHON` starts it. One JSON request a line on stdin, one JSON answer a line on
stdout; where a request says `count`, that many images follow on stdin as the towers get them, uint8
[count, height, width, 3], then their labels, int32 [count], little-endian.

  {"prepare": {"network": {"input", "layers"}, "classes": 10, "threads": 2, "mean", "std", "learningRate": 0.001,
               "parameters": FILE}}   a safetensors file: the state_dict to begin with   ->  {"torch"}
  {"train": {"count": 64}}            one step   ->  {"loss", "correct", "ms"}
  {"test": {"count": 64}}             without dropout   ->  {"correct"}
"""

import json
import sys
import time

import numpy
import torch
from safetensors.torch import load_file
from torch.nn import functional

from peer import build


class Seed:
    def __init__(self, network, classes, threads, mean, std, learningRate, parameters):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.model = build(network, 1, classes)
        self.model.load_state_dict(load_file(parameters))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=learningRate, momentum=0.9)
        self.extents = [network["input"][name] for name in ("height", "width", "channels")]
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)

    def batch(self, count):
        size = count * int(numpy.prod(self.extents))
        pixels = numpy.frombuffer(sys.stdin.buffer.read(size), numpy.uint8).reshape(count, *self.extents)
        labels = numpy.frombuffer(sys.stdin.buffer.read(4 * count), "<i4")
        images = (torch.from_numpy(pixels.copy()).float() / 255 - self.mean) / self.std
        return images.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels.astype(numpy.int64))

    def train(self, count):
        images, labels = self.batch(count)
        start = time.perf_counter()
        self.model.train()
        self.optimizer.zero_grad()
        logits = self.model(images)
        loss = functional.cross_entropy(logits, labels)
        loss.backward()
        self.optimizer.step()
        milliseconds = (time.perf_counter() - start) * 1000
        return {"loss": loss.item(), "correct": self.correct(logits, labels), "ms": milliseconds}

    def test(self, count):
        images, labels = self.batch(count)
        self.model.eval()
        with torch.no_grad():
            return {"correct": self.correct(self.model(images), labels)}

    @staticmethod
    def correct(logits, labels):
        return int((logits.argmax(1) == labels).sum())


def main():
    seed = None
    for line in iter(sys.stdin.buffer.readline, b""):
        (name, arguments), = json.loads(line).items()
        if name == "prepare":
            seed = Seed(**arguments)
            answer = {"torch": torch.__version__}
        else:
            answer = {"train": seed.train, "test": seed.test}[name](**arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
