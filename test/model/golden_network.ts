/** The networks whose tensors PyTorch has written (scripts/golden.py). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NetworkSpecification } from '../../src/model/layers.js';
import { buildNetwork } from '../../src/model/network.js';
import type { Network } from '../../src/model/network.js';
import { onnxModel } from '../../src/model/onnx.js';
import { readSafetensors } from '../../src/runs/safetensors.js';

export const goldenFile = (name: string): string =>
  fileURLToPath(new URL(`../../../test/golden/${name}`, import.meta.url));

export function goldenNetwork(name: string): Network {
  const { network, towers, classes } = JSON.parse(
    readFileSync(goldenFile(`${name}.json`), 'utf8'),
  ) as {
    network: NetworkSpecification;
    towers: number;
    classes: number;
  };
  return buildNetwork(network, towers, classes);
}

/** With PyTorch's parameters, for any batch. */
export function goldenOnnx(name: string): Uint8Array {
  const network = goldenNetwork(name);
  const tensors = readSafetensors(goldenFile(`${name}.safetensors`));
  const parameters = new Map(
    network.parameters.map((parameter) => [
      parameter.name,
      tensors.get(`parameter.${parameter.name}`)!,
    ]),
  );
  return onnxModel(network, parameters, { batch: 'dynamic', metadata: {} });
}
