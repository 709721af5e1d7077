import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import {
  BACKEND_NAMES,
  prepareProcess,
  useBackend,
  whyMissing,
} from '../../src/backend/backend.js';
import type { Replicated } from '../../src/model/distribution.js';
import { forward, lossOf } from '../../src/model/forward.js';
import type { RankParameters } from '../../src/model/forward.js';
import type { NetworkSpecification } from '../../src/model/layers.js';
import { buildNetwork } from '../../src/model/network.js';
import {
  layerOf,
  shareOf,
  toCanonicalLayout,
  toComputingLayout,
} from '../../src/model/parameters.js';
import { collectivesOver } from '../../src/parallel/collectives.js';
import { SlotCopyTransport } from '../../src/parallel/slot_copies.js';
import { Exchange } from '../../src/parallel/exchange.js';
import { allocateExchangeMemory } from '../../src/parallel/slots.js';
import { readSafetensors } from '../../src/runs/safetensors.js';

/** Compiled tests run from dist/test; the golden files stay with the sources. */
const goldenFile = (name: string): string =>
  new URL(`../../../test/golden/${name}`, import.meta.url).pathname;

/** The requirement; float32 against PyTorch in float64 leaves about 1e-6. */
const TOLERANCE = 1e-4;

prepareProcess();
/** On the CPU, or on GPU 0 if a test that imports this one says so. */
const device = process.env['TWOTOWER_TESTED_GPU'] === undefined ? 'cpu' : 'gpu:0';
const prepared = (device === 'cpu' ? BACKEND_NAMES : (['native'] as const)).filter(
  (backend) => whyMissing(backend) === null,
);
const examples = prepared.flatMap((backend) =>
  ['dense', 'grouped', 'local'].map((name) => [backend, name] as const),
);

for (const [backend, name] of examples) {
  test(`on ${backend} the ${name} network's logits, loss and gradients are PyTorch's`, async () => {
    await useBackend({ backend, device, threads: 1 });
    const golden = readSafetensors(goldenFile(`${name}.safetensors`));
    const valuesOf = (key: string): Float32Array => golden.get(key)!.data;
    const description = JSON.parse(readFileSync(goldenFile(`${name}.json`), 'utf8')) as {
      network: NetworkSpecification;
      towers: number;
      classes: number;
    };
    const network = buildNetwork(description.network, description.towers, description.classes);
    const ranks = Array.from({ length: network.towers }, (_, rank) => rank);
    const input = golden.get('input')!;
    const batch = input.shape[0]!;
    const exchange = new Exchange(
      allocateExchangeMemory(network, [ranks], batch),
      new SlotCopyTransport({}),
      0,
      [ranks],
    );

    const variables: { name: string; rank: number; variable: tf.Variable }[] = [];
    const parameters = ranks.map((rank): RankParameters => {
      return new Map(
        network.parameters.map((parameter) => {
          const { shape, start, length } = shareOf(parameter, rank, network.towers);
          const share = valuesOf(`parameter.${parameter.name}`).slice(start, start + length);
          const variable = tf.variable(
            toComputingLayout(layerOf(network, parameter), shape, share),
          );
          variables.push({ name: parameter.name, rank, variable });
          return [parameter.name, variable];
        }),
      );
    });

    let logits: Float32Array | undefined;
    const { value, grads } = tf.variableGrads(
      () => {
        const images = tf.tensor4d(
          input.data.slice(),
          input.shape as [number, number, number, number],
        ) as Replicated<tf.Tensor4D>;
        const labels = tf.tensor1d(Int32Array.from(valuesOf('labels')), 'int32');
        const output = forward(
          network,
          parameters,
          collectivesOver(exchange, network),
          images,
          null,
        );
        logits = output.dataSync<'float32'>();
        return lossOf(output, labels);
      },
      variables.map(({ variable }) => variable),
    );

    assertClose('logits', logits!, valuesOf('logits'));
    assertClose('loss', value.dataSync<'float32'>(), valuesOf('loss'));
    for (const parameter of network.parameters) {
      const gradient = new Float32Array(valuesOf(`gradient.${parameter.name}`).length);
      for (const { name: owner, rank, variable } of variables) {
        if (owner !== parameter.name) continue;
        const layer = layerOf(network, parameter);
        const { start } = shareOf(parameter, rank, network.towers);
        gradient.set(toCanonicalLayout(layer, grads[variable.name]!), start);
      }
      assertClose(
        `gradient of ${parameter.name}`,
        gradient,
        valuesOf(`gradient.${parameter.name}`),
      );
    }
  });
}

/** ‖actual − expected‖ / ‖expected‖ within the tolerance. */
function assertClose(what: string, actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length, what);
  const difference = Math.hypot(...actual.map((value, index) => value - expected[index]!));
  const relative = difference / Math.hypot(...expected);
  assert.ok(relative <= TOLERANCE, `${what}: off by ${relative}`);
}
