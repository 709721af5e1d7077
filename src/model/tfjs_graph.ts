/**
 * A network and its parameters as a TensorFlow.js graph model, for `loadGraphModel` of @tensorflow/tfjs-converter.
 *
 * Its input is `images` [batch, height, width, channels] float32, RGB from 0 to 255, which the graph normalizes; its
 * output is `probabilities` [batch, classes]. `execute(images, 'logits')` gives the logits, and the name of any other
 * node its activations. Layers that read their own tower have a node per tower (`conv2/tower0`, `conv2/tower1`), between
 * a split and a concatenation of the channels. Dropout is left out.
 */
import { UserError } from '../errors.js';
import type { ConvLayer, LocalLayer, LrnLayer, PoolLayer, RnormLayer } from './layers.js';
import { beyondFarEdges, elements, type Layer, type Network } from './network.js';
import { outputsOfRank } from './shares.js';
import { description, GraphNodes, integers, text } from './tfjs_nodes.js';
import type { GraphNode, GraphWeight, TensorDescription } from './tfjs_nodes.js';

/** A whole tensor in canonical layout. */
interface Values {
  shape: number[];
  data: Float32Array;
}

/** Input is pixel / 255 / std − meanImage if there is a mean image, else (pixel / 255 − mean) / std. */
export interface PixelNormalization {
  mean: number[];
  std: number[];
  /** float32 `[height, width, channels]`, divided by 255 and by `std`. */
  meanImage: Float32Array | null;
}

/** What a graph model's files say. */
export interface TfjsGraph {
  nodes: GraphNode[];
  /** The data of the `Const` nodes, in order. */
  weights: GraphWeight[];
  inputs: Record<string, TensorDescription>;
  outputs: Record<string, TensorDescription>;
}

/** Which share of a layer's outputs a node computes: of 1 tower, all of them. */
interface Share {
  tower: number;
  towers: number;
}

/** Adds the nodes that compute a layer. @returns the name of the result */
type Compute = (input: string, name: string, share: Share) => string;

const FLOAT32_LARGEST = 3.4028234e38;

/** Nodes that are no layer's. */
const RESERVED = ['images', 'logits', 'probabilities'];

/**
 * Builds the graph.
 *
 * @param parameters all of the network's, in canonical layout
 * @throws UserError if a layer has the name of the graph's input or output
 */
export function tfjsGraph(
  network: Network,
  parameters: Map<string, Values>,
  normalization: PixelNormalization,
): TfjsGraph {
  const taken = network.layers.find(({ name }) => RESERVED.includes(name));
  if (taken !== undefined) {
    throw new UserError(
      `layer ${taken.name}: this is the name of an input or output of the graph model; rename the layer`,
    );
  }
  const builder = new GraphBuilder(network, parameters);
  builder.normalize(normalization);
  network.layers.forEach((layer) => builder.add(layer));
  builder.finish();
  const { height, width, channels } = network.input;
  return {
    nodes: builder.graph.nodes,
    weights: builder.graph.weights,
    inputs: { images: description('images', [-1, height, width, channels]) },
    outputs: { probabilities: description('probabilities', [-1, network.classes]) },
  };
}

class GraphBuilder {
  readonly graph = new GraphNodes();
  /** Names of the current values: one with all channels, or one per tower. */
  private values: string[] = [];
  /** Whether they are vectors, in C,H,W order, and no longer images. */
  private isFlat = false;

  constructor(
    private readonly network: Network,
    private readonly parameters: Map<string, Values>,
  ) {}

  normalize({ mean, std, meanImage }: PixelNormalization): void {
    const { graph } = this;
    const { height, width, channels } = this.network.input;
    const images = graph.placeholder('images', [-1, height, width, channels]);
    const factors = Float32Array.from(std, (value) => 1 / 255 / value);
    const factor = graph.constant('images/factor', [channels], factors);
    const subtracted =
      meanImage === null
        ? Float32Array.from(mean, (value, channel) => value / std[channel]!)
        : meanImage;
    const shape = meanImage === null ? [channels] : [1, height, width, channels];
    const scaled = graph.add('Mul', 'images/scaled', [images, factor]);
    const offset = graph.constant('images/mean', shape, subtracted);
    this.values = [graph.add('Sub', 'images/normalized', [scaled, offset])];
  }

  add(layer: Layer): void {
    const { specification, name: layerName } = layer;
    switch (specification.type) {
      case 'conv':
        return this.reading(layer, (...node) => this.convolution(layer, specification, ...node));
      case 'local':
        return this.reading(layer, (...node) =>
          this.localConvolution(layer, specification, ...node),
        );
      case 'fc':
        this.flatten(layer);
        return this.reading(layer, (...node) => this.fullyConnected(layer, ...node));
      case 'lrn':
        return this.reading(layer, (input, name) => this.normalization(specification, input, name));
      case 'relu':
        return this.each(layerName, (input, name) => this.graph.add('Relu', name, [input]));
      case 'rnorm':
        return this.each(layerName, (input, name) => this.withinMap(specification, input, name));
      case 'maxPool':
        return this.each(layerName, (input, name) =>
          this.maxPool(layer, specification, input, name),
        );
      case 'dropout':
        return;
    }
  }

  finish(): void {
    const logits = this.graph.add('Identity', 'logits', [this.whole('logits')]);
    this.graph.add('Softmax', 'probabilities', [logits]);
  }

  /** Computes a layer whose outputs read several channels: those of all towers, or of each tower its own. */
  private reading({ name, gathers, index }: Layer, compute: Compute): void {
    this.values = gathers || index === 0 ? [this.whole(name)] : this.byTower(name);
    this.each(name, compute);
  }

  private each(layer: string, compute: Compute): void {
    const towers = this.values.length;
    this.values = this.values.map((input, tower) =>
      compute(input, towers === 1 ? layer : `${layer}/tower${tower}`, { tower, towers }),
    );
  }

  private whole(name: string): string {
    if (this.values.length === 1) return this.values[0]!;
    return this.graph.concat(`${name}/concat`, this.values, this.channelAxis());
  }

  private byTower(name: string): string[] {
    const { towers } = this.network;
    if (this.values.length === towers) return this.values;
    return this.graph.split(`${name}/split`, this.values[0]!, towers, this.channelAxis());
  }

  private channelAxis(): number {
    return this.isFlat ? 1 : 3;
  }

  /** Vectors in C,H,W order, that of the canonical weights. */
  private flatten({ name, input, gathers, index }: Layer): void {
    if (this.isFlat) return;
    const { height, width, channels } = input;
    const readers = gathers || index === 0 ? 1 : this.network.towers;
    this.each(`${name}/flat`, (images, flat, { towers }) => {
      const length = (height * width * channels * readers) / towers;
      const channelsFirst = this.graph.transpose(`${flat}/channels_first`, images, [0, 3, 1, 2]);
      return this.graph.reshape(flat, channelsFirst, [-1, length]);
    });
    this.isFlat = true;
  }

  private fullyConnected(layer: Layer, input: string, name: string, share: Share): string {
    const weight = this.parameter(layer, 'weight', name, share);
    const product = this.graph.add('MatMul', `${name}/product`, [input, weight], {
      transpose_a: { b: false },
      transpose_b: { b: true },
    });
    return this.biased(layer, product, name, share);
  }

  private convolution(
    layer: Layer,
    { stride, pad }: ConvLayer,
    input: string,
    name: string,
    share: Share,
  ): string {
    const [below, right] = beyondFarEdges(layer);
    const weight = this.parameter(layer, 'weight', name, share, (kernels) =>
      permuted(kernels, [2, 3, 1, 0]),
    );
    const product = this.graph.add('Conv2D', `${name}/product`, [input, weight], {
      strides: integers([1, stride, stride, 1]),
      padding: text('EXPLICIT'),
      explicit_paddings: integers([0, 0, pad, pad + below, pad, pad + right, 0, 0]),
      data_format: text('NHWC'),
      dilations: integers([1, 1, 1, 1]),
    });
    return this.biased(layer, product, name, share);
  }

  private biased(layer: Layer, product: string, name: string, share: Share): string {
    const bias = this.parameter(layer, 'bias', name, share);
    return this.graph.add('BiasAdd', name, [product, bias], { data_format: text('NHWC') });
  }

  /** As `convolveLocally`: the pixels under the kernels become columns, and each position has a product of its own. */
  private localConvolution(
    layer: Layer,
    window: LocalLayer,
    image: string,
    name: string,
    share: Share,
  ): string {
    const { graph } = this;
    const { input, output } = layer;
    const positions = output.height * output.width;
    const fanIn = window.size ** 2 * input.channels;
    const imagesLast = graph.transpose(`${name}/images_last`, image, [1, 2, 3, 0]);
    const pixels = graph.reshape(`${name}/pixels`, imagesLast, [input.height * input.width, -1]);
    // One more row, of zeros, for what is outside of the image.
    const withZeros = graph.pad(`${name}/with_zeros`, pixels, [0, 1, 0, 0], 0);
    const seen = graph.gather(`${name}/patches`, withZeros, pixelsSeen(layer, window));
    const columns = graph.reshape(`${name}/columns`, seen, [positions, fanIn, -1]);
    const weight = this.parameter(layer, 'weight', name, share, (kernels) => {
      const { shape, data } = permuted(kernels, [1, 2, 4, 5, 3, 0]);
      return { shape: [positions, fanIn, shape.at(-1)!], data };
    });
    const bias = this.parameter(layer, 'bias', name, share, (biases) => {
      const { shape, data } = permuted(biases, [1, 2, 0]);
      return { shape: [positions, 1, shape.at(-1)!], data };
    });
    const product = graph.add('BatchMatMulV2', `${name}/product`, [columns, weight], {
      adj_x: { b: true },
      adj_y: { b: false },
    });
    const sums = graph.add('AddV2', `${name}/sums`, [product, bias]);
    const kernels = output.channels * (this.network.towers / share.towers);
    const shape = [output.height, output.width, -1, kernels];
    const rows = graph.reshape(`${name}/rows`, sums, shape);
    return graph.transpose(name, rows, [2, 0, 1, 3]);
  }

  /** TensorFlow's alpha multiplies the sum of squares itself, as ours does. */
  private normalization({ size, k, alpha, beta }: LrnLayer, input: string, name: string): string {
    return this.graph.add('LRN', name, [input], {
      depth_radius: { i: String((size - 1) / 2) },
      bias: { f: k },
      alpha: { f: alpha },
      beta: { f: beta },
    });
  }

  private withinMap({ size, k, alpha, beta }: RnormLayer, input: string, name: string): string {
    const { graph } = this;
    const radius = (size - 1) / 2;
    const widths = [0, 0, radius, radius, radius, radius, 0, 0];
    const squares = graph.add('Square', `${name}/squares`, [input]);
    const padded = graph.pad(`${name}/padded`, squares, widths, 0);
    const means = graph.pool('AvgPool', `${name}/means`, padded, { size, stride: 1 });
    // After padding, every window is complete, so its mean times its size is its sum.
    const factor = graph.scalar(`${name}/factor`, alpha * size * size);
    const sums = graph.add('Mul', `${name}/sums`, [means, factor]);
    const scale = graph.add('AddV2', `${name}/scale`, [sums, graph.scalar(`${name}/k`, k)]);
    const exponent = graph.scalar(`${name}/exponent`, -beta);
    const power = graph.add('Pow', `${name}/power`, [scale, exponent]);
    return graph.add('Mul', name, [input, power]);
  }

  private maxPool(layer: Layer, pool: PoolLayer, input: string, name: string): string {
    const [below, right] = beyondFarEdges(layer);
    if (below + right === 0) return this.graph.pool('MaxPool', name, input, pool);
    const widths = [0, 0, 0, below, 0, right, 0, 0];
    const padded = this.graph.pad(`${name}/padded`, input, widths, -FLOAT32_LARGEST);
    return this.graph.pool('MaxPool', name, padded, pool);
  }

  /** Adds a tower's share of a parameter as a constant. @param arrange from the canonical layout to TensorFlow's */
  private parameter(
    layer: Layer,
    role: 'weight' | 'bias',
    name: string,
    { tower, towers }: Share,
    arrange: (values: Values) => Values = (values) => values,
  ): string {
    const whole = this.parameters.get(`${layer.name}.${role}`)!;
    const { first, count } = outputsOfRank(whole.shape[0]!, tower, towers);
    const perOutput = elements(whole.shape.slice(1));
    const { shape, data } = arrange({
      shape: [count, ...whole.shape.slice(1)],
      data: whole.data.subarray(first * perOutput, (first + count) * perOutput),
    });
    return this.graph.constant(`${name}/${role}`, shape, data);
  }
}

/** For each position, the pixels under its kernel, as rows of all pixels; the row past the last for those outside. */
function pixelsSeen({ input, output }: Layer, { size, pad }: LocalLayer): Int32Array {
  const { height, width } = input;
  const rows = new Int32Array(output.height * output.width * size * size);
  let at = 0;
  for (let top = -pad; top < output.height - pad; top++) {
    for (let left = -pad; left < output.width - pad; left++) {
      for (let y = top; y < top + size; y++) {
        for (let x = left; x < left + size; x++) {
          const isInside = y >= 0 && y < height && x >= 0 && x < width;
          rows[at++] = isInside ? y * width + x : height * width;
        }
      }
    }
  }
  return rows;
}

/** A copy with the dimensions in another order, as `tf.transpose` makes it. */
function permuted({ shape, data }: Values, order: number[]): Values {
  const lengths = order.map((dimension) => shape[dimension]!);
  const strides = order.map((dimension) => elements(shape.slice(dimension + 1)));
  const result = new Float32Array(data.length);
  let at = 0;
  const copy = (depth: number, start: number): void => {
    const [length, stride] = [lengths[depth]!, strides[depth]!];
    for (let index = 0; index < length; index++) {
      const from = start + index * stride;
      if (depth === order.length - 1) result[at++] = data[from]!;
      else copy(depth + 1, from);
    }
  };
  copy(0, 0);
  return { shape: lengths, data: result };
}
