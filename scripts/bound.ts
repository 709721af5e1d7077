/**
 * The least time in which the machine could compute the conv and fc layers of a network by the algorithms that
 * the native backend takes: for each pass, its operations at the measured peak of the cores or its bytes at the
 * measured bandwidth, whichever is longer.
 */
import type { Configuration } from '../src/configuration.js';
import type { Precision } from '../src/backend/numerics.js';
import { algorithmsOf } from '../src/library/algorithms.js';
import { buildNetwork, elements, isParameterised } from '../src/model/network.js';
import type { Layer, Network } from '../src/model/network.js';
import type { ActivationShape } from '../src/model/layers.js';
import type { Machine, NamedMilliseconds } from './contenders.js';

const FLOAT32_BYTES = 4;

/** @param configuration with one tower */
export function boundOf(
  configuration: Configuration,
  precision: Precision,
  machine: Machine,
): NamedMilliseconds[] {
  const { batch } = configuration.training;
  const network = buildNetwork(configuration.network, 1, configuration.data.classes);
  const convolutions = algorithmsOf({ ...configuration, towers: 1 }, precision);
  return network.layers
    .filter(({ specification }) => isParameterised(specification))
    .map((layer) => {
      const own = convolutions.filter(({ layer: name }) => name === layer.name);
      const passes =
        own.length > 0
          ? own.map(({ algorithm, operations }) => ({
              operations,
              // Only the direct algorithm multiplies in the operands' type.
              speed: algorithm === 'direct' ? machine.operations : machine.float32Operations,
            }))
          : Array.from({ length: 3 }, () => ({
              operations: 2 * batch * layer.macs,
              speed: machine.operations,
            }));
      // Every pass reads two of x, y and the filter, or their gradients, and writes the third.
      const bytes = bytesOf(network, layer, batch);
      const milliseconds = passes.map(({ operations, speed }) =>
        Math.max(operations / speed, bytes / machine.bytes),
      );
      return { name: layer.name, ms: milliseconds.reduce((sum, one) => sum + one, 0) / 1e6 };
    });
}

function bytesOf(network: Network, layer: Layer, batch: number): number {
  const size = ({ height, width, channels }: ActivationShape): number => height * width * channels;
  const parameters = network.parameters
    .filter(({ layer: name }) => name === layer.name)
    .reduce((sum, { shape }) => sum + elements(shape), 0);
  return FLOAT32_BYTES * (batch * (size(layer.input) + size(layer.output)) + parameters);
}
