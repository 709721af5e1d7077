/**
 * The hybrid of "One weird trick for parallelizing convolutional neural networks" (Krizhevsky 2014): every host has all
 * convolutional layers and computes them for its own images; the fully-connected layers, which have most of the
 * parameters, are divided among all hosts and computed for the images of all.
 *
 * With T towers and H hosts, a fully-connected layer has T · H shares. Rank `host · T + tower` holds one of them, and
 * the kernels of its tower.
 */
import { UserError } from '../errors.js';
import type { Layer, Network, Parameter } from './network.js';
import { largestShare } from './shares.js';

/**
 * Divides the fully-connected layers of `network` among hosts.
 *
 * @param hosts with 1, nothing changes
 * @throws UserError that names the layer, if a fully-connected layer reads its own tower alone, is followed by a layer
 *   of another kind, or cannot be divided
 */
export function divideFullyConnected(network: Network, hosts: number): Network {
  if (hosts === 1) return network;
  const shares = network.towers * hosts;
  const first = network.layers.findIndex(({ specification: { type } }) => type === 'fc');
  const parameters = network.parameters.map((parameter) =>
    isOfLayers(network.layers.slice(first), parameter) ? { ...parameter, hosts } : parameter,
  );
  const layers: Layer[] = [];
  for (const layer of network.layers) {
    if (layer.index < first) {
      layers.push(layer);
      continue;
    }
    const held = parameters.find(({ name }) => name === layer.parameters[0]);
    checkDividable(layer, held, shares, layer.index === network.layers.length - 1);
    const output =
      held === undefined
        ? layers.at(-1)!.output
        : { ...layer.output, channels: largestShare(held.shape[0]!, shares) };
    layers.push({
      ...layer,
      hosts,
      input: held === undefined ? output : layer.input,
      output,
      gathers: held !== undefined && layer.index > first,
      gathersImages: layer.index === first,
    });
  }
  return { ...network, hosts, layers, parameters };
}

/** The host of a hybrid on which a rank is. */
export function hostOf(rank: number, { towers }: Pick<Network, 'towers'>): number {
  return Math.floor(rank / towers);
}

function isOfLayers(layers: readonly Layer[], { layer }: Parameter): boolean {
  return layers.some(({ name }) => name === layer);
}

function checkDividable(
  { name, specification }: Layer,
  held: Parameter | undefined,
  shares: number,
  isLast: boolean,
): void {
  const { type } = specification;
  const problem = (): string | null => {
    if (type !== 'fc' && type !== 'relu' && type !== 'dropout') {
      return `a layer of type ${type} follows a fully-connected one`;
    }
    if (held === undefined) return null;
    if ('reads' in specification && specification.reads !== 'all') return 'it reads its own tower';
    const outputs = held.shape[0]!;
    // Of the classes, ranks may hold one more or less.
    const isEven = isLast ? outputs >= shares : outputs % shares === 0;
    return isEven ? null : `${outputs} units cannot be divided among ${shares} ranks`;
  };
  const why = problem();
  if (why === null) return;
  throw new UserError(
    `layer ${name}: ${why}, so that the fully-connected layers cannot be divided among hosts; give --parallelism replicas`,
  );
}
