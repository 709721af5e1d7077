/** The logits, the loss and all gradients of the networks that PyTorch has computed (scripts/golden.py), against PyTorch's. */
import * as tf from '@tensorflow/tfjs-core';
import { useBackend } from '../../src/backend/backend.js';
import type { BackendOptions } from '../../src/backend/backend.js';
import type { Replicated } from '../../src/model/distribution.js';
import { forward, lossOf } from '../../src/model/forward.js';
import type { RankParameters } from '../../src/model/forward.js';
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
import { goldenFile, goldenNetwork } from './golden_network.js';

export const GOLDEN_NAMES = ['dense', 'grouped', 'local'] as const;

/** The requirement; float32 against PyTorch in float64 leaves about 1e-6. */
export const TOLERANCE = 1e-4;

export interface GoldenError {
  /** `logits`, `loss` or `gradient of PARAMETER`. */
  what: string;
  /** ‖actual − expected‖ / ‖expected‖; infinite if the lengths differ. */
  relative: number;
}

/** @param name one of `GOLDEN_NAMES` */
export async function compareWithGolden(
  name: string,
  options: BackendOptions,
): Promise<GoldenError[]> {
  await useBackend(options);
  const golden = readSafetensors(goldenFile(`${name}.safetensors`));
  const valuesOf = (key: string): Float32Array => golden.get(key)!.data;
  const network = goldenNetwork(name);
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
        const variable = tf.variable(toComputingLayout(layerOf(network, parameter), shape, share));
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
      const output = forward(network, parameters, collectivesOver(exchange, network), images, null);
      logits = output.dataSync<'float32'>();
      return lossOf(output, labels);
    },
    variables.map(({ variable }) => variable),
  );

  const errors = [
    errorOf('logits', logits!, valuesOf('logits')),
    errorOf('loss', value.dataSync<'float32'>(), valuesOf('loss')),
  ];
  for (const parameter of network.parameters) {
    const expected = valuesOf(`gradient.${parameter.name}`);
    const gradient = new Float32Array(expected.length);
    for (const { name: owner, rank, variable } of variables) {
      if (owner !== parameter.name) continue;
      const layer = layerOf(network, parameter);
      const { start } = shareOf(parameter, rank, network.towers);
      gradient.set(toCanonicalLayout(layer, grads[variable.name]!), start);
    }
    errors.push(errorOf(`gradient of ${parameter.name}`, gradient, expected));
  }
  return errors;
}

function errorOf(what: string, actual: Float32Array, expected: Float32Array): GoldenError {
  if (actual.length !== expected.length) return { what, relative: Infinity };
  const difference = Math.hypot(...actual.map((value, index) => value - expected[index]!));
  return { what, relative: difference / Math.hypot(...expected) };
}
