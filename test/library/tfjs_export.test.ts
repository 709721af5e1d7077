/** The graph model against PyTorch's logits (scripts/golden.py), in each of TensorFlow.js's backends. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Configuration } from '../../src/configuration.js';
import type { Normalization } from '../../src/data/normalization.js';
import { writeTfjs } from '../../src/library/tfjs_files.js';
import { softmax } from '../../src/model/probabilities.js';
import { readSafetensors } from '../../src/runs/safetensors.js';
import { newFolder } from '../commands/command_line.js';
import { goldenFile, goldenNetwork } from '../model/golden_network.js';
import { computeInNode, noChromium, WebglBrowser } from './graph_models.js';

/** The requirement; float32 sums in another order leave about 1e-6. */
const TOLERANCE = 1e-4;
const NETWORKS = ['dense', 'grouped', 'local'];

const folder = newFolder();
const browser = noChromium === false ? await WebglBrowser.launch() : null;
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

const MEAN = [0.4, 0.5, 0.6];
const STD = [0.2, 0.25, 0.3];

/** As its images are normalized; `local` subtracts a mean image, as the networks with such layers do. */
function normalizationFor(name: string, values: number): Normalization {
  if (name !== 'local') return { mean: MEAN, std: STD, meanImage: null };
  const meanImage = Float32Array.from({ length: values }, (_, at) => Math.sin(at));
  return { mean: [0, 0, 0], std: STD, meanImage };
}

/** The golden input is normalized; these are the pixels that it is made of. */
function pixelsOf(input: Float32Array, { mean, std, meanImage }: Normalization): Float32Array {
  return input.map((value, at) => {
    const subtracted = meanImage?.[at % meanImage.length] ?? mean[at % 3]! / std[at % 3]!;
    return (value + subtracted) * std[at % 3]! * 255;
  });
}

const golden = Object.fromEntries(
  NETWORKS.map((name) => {
    const tensors = readSafetensors(goldenFile(`${name}.safetensors`));
    const network = goldenNetwork(name);
    const parameters = new Map(
      network.parameters.map((parameter) => [
        parameter.name,
        tensors.get(`parameter.${parameter.name}`)!,
      ]),
    );
    const input = tensors.get('input')!;
    const normalization = normalizationFor(name, input.data.length / input.shape[0]!);
    const pixels = pixelsOf(input.data, normalization);
    const model = {
      ...{ network, parameters, normalization, classes: null },
      configuration: { data: { view: { type: 'resize' } } } as Configuration,
    };
    writeTfjs(join(folder, name), model);
    const shape = input.shape as [number, number, number, number];
    return [name, { pixels: { shape, data: pixels }, logits: tensors.get('logits')!.data }];
  }),
);

function largestDifference(one: ArrayLike<number>, other: ArrayLike<number>): number {
  assert.equal(one.length, other.length);
  return Array.from(one, (value, at) => Math.abs(value - other[at]!)).reduce((a, b) =>
    Math.max(a, b),
  );
}

for (const name of NETWORKS) {
  const { pixels, logits } = golden[name]!;
  const agrees = (computed: { logits: Float32Array; probabilities: Float32Array }): void => {
    const difference = largestDifference(computed.logits, logits);
    assert.ok(difference < TOLERANCE, `logits differ by ${difference}`);
    const classes = logits.length / pixels.shape[0];
    const probabilities = Array.from({ length: pixels.shape[0] }, (_, image) =>
      softmax(logits.subarray(image * classes, (image + 1) * classes)),
    ).flat();
    assert.ok(largestDifference(computed.probabilities, probabilities) < TOLERANCE);
  };

  for (const backend of ['cpu', 'wasm'] as const) {
    test(`on ${backend} the ${name} network's graph model computes PyTorch's logits`, async () => {
      agrees(await computeInNode(backend, join(folder, name), pixels));
    });
  }

  // Nothing that `dense` has is missing in the others, and compiling shaders in software takes seconds.
  if (name === 'dense') continue;
  test(
    `by WebGL the ${name} network's graph model computes PyTorch's logits`,
    { skip: noChromium },
    async () => agrees(await browser!.compute(join(folder, name), pixels)),
  );
}
