/** Functions of the native addon that layers and training are made of. What all have in common: addon.ts. */
import type { Activation, Precision } from '../numerics.js';
import type { Integers } from './addon_arrays.js';

/**
 * How a pass of a convolution is computed: by its definition, by Winograd's F(4×4, 3×3), or through the
 * frequency domain. The last two take float32 operands in every precision.
 */
export type ConvolutionAlgorithm = 'direct' | 'winograd' | 'fft';

/** A convolution, or its gradient by its input or by its filter and bias. */
export type ConvolutionPass = 'forward' | 'input' | 'filter';

/** Convolution, matrix product, pooling, normalization. */
export interface LayerFunctions {
  /**
   * @param x [batch, inHeight, inWidth, inChannels]
   * @param filter [filterHeight, filterWidth, inChannels, outChannels]
   * @param bias [outChannels], or null
   * @param out [batch, outHeight, outWidth, outChannels]
   * @param geometry of `convolutionGeometry`
   */
  conv2d(
    x: Float32Array,
    filter: Float32Array,
    bias: Float32Array | null,
    out: Float32Array,
    geometry: Int32Array,
    activation: Activation,
    precision: Precision,
  ): void;

  /** The gradient by x, into `dx`. */
  conv2dBackpropInput(
    dy: Float32Array,
    filter: Float32Array,
    dx: Float32Array,
    geometry: Int32Array,
    precision: Precision,
  ): void;

  /** The gradients by the filter, into `dFilter`, and by the bias, into `dBias` unless that is null. */
  conv2dBackpropFilter(
    x: Float32Array,
    dy: Float32Array,
    dFilter: Float32Array,
    dBias: Float32Array | null,
    geometry: Int32Array,
    precision: Precision,
  ): void;

  /**
   * The algorithm that the calling thread takes for a pass, a function of these and the processor, and the
   * multiplications and additions that it needs.
   */
  convolutionAlgorithm(
    pass: ConvolutionPass,
    geometry: Int32Array,
    precision: Precision,
  ): { algorithm: ConvolutionAlgorithm; operations: number };

  /**
   * The calling thread takes this algorithm for every convolution that it can compute, for tests and
   * benchmarks; `cheapest` is the default.
   */
  preferConvolutionAlgorithm(algorithm: ConvolutionAlgorithm | 'cheapest'): void;

  /**
   * out[i] = a[i] · b[i], each transposed first where said, plus bias.
   * @param a [aBatch, m, k], or [aBatch, k, m] if `transposeA`
   * @param b [bBatch, k, n], or [bBatch, n, k] if `transposeB`
   * @param bias [n], or null
   * @param out [max(aBatch, bBatch), m, n]
   * @param sizes [aBatch, bBatch, m, k, n]; a batch of 1 is repeated
   */
  matMul(
    a: Float32Array,
    b: Float32Array,
    bias: Float32Array | null,
    out: Float32Array,
    sizes: Integers,
    transposeA: boolean,
    transposeB: boolean,
    activation: Activation,
    precision: Precision,
  ): void;

  /**
   * The greatest in each window, NaN if one is in it; positions outside x are left out.
   * @param geometry of `poolGeometry`
   */
  maxPool(x: Float32Array, out: Float32Array, geometry: Int32Array): void;

  /** Gives dy to the first greatest of each window, in row-major order. `y` is what `maxPool` gave. */
  maxPoolGradient(
    dy: Float32Array,
    x: Float32Array,
    y: Float32Array,
    dx: Float32Array,
    geometry: Int32Array,
  ): void;

  /** The mean of each window; positions outside x are not counted. */
  averagePool(x: Float32Array, out: Float32Array, geometry: Int32Array): void;

  /**
   * As tfjs's own, divides dy by the window's size, whatever part of the window lies outside dx.
   */
  averagePoolGradient(dy: Float32Array, dx: Float32Array, geometry: Int32Array): void;

  /**
   * out[c] = x[c] · s[c]^−β, s[c] = bias + α · Σ x[c′]² over |c′ − c| ≤ radius within each group.
   * @param channels of the last dimension: x is [x.length / channels, channels]. To keep windows inside a
   *   tower, give the channels of one tower.
   */
  localResponseNormalization(
    x: Float32Array,
    out: Float32Array,
    channels: number,
    radius: number,
    bias: number,
    alpha: number,
    beta: number,
  ): void;

  localResponseNormalizationGradient(
    dy: Float32Array,
    x: Float32Array,
    dx: Float32Array,
    channels: number,
    radius: number,
    bias: number,
    alpha: number,
    beta: number,
  ): void;
}

/** What a training step does beside its layers. */
export interface TrainingFunctions {
  /**
   * Mean cross-entropy of softmax(logits), nats, and its gradient.
   * @param logits [batch, classes]
   * @param labels [batch], each 0 … classes − 1
   * @param gradient [batch, classes]
   * @returns the mean over the batch
   */
  softmaxCrossEntropy(
    logits: Float32Array,
    labels: Int32Array,
    gradient: Float32Array,
    classes: number,
  ): number;

  /**
   * v ← momentum·v − decay·rate·w − rate·g, then w ← w + v, in one pass; all of one length. `decay` and
   * `rate` as in the paper's section 5.
   *
   * @param check [1]: 0 if all of w and v is finite afterwards, else NaN
   */
  momentumUpdate(
    weight: Float32Array,
    velocity: Float32Array,
    gradient: Float32Array,
    check: Float32Array,
    rate: number,
    momentum: number,
    decay: number,
  ): void;

  /** out[i, c] = table[bytes[i, c], c]; the table is [256, channels]. */
  imagesFromBytes(bytes: Uint8Array, table: Float32Array, out: Float32Array): void;

  /** The very numbers of `fillDropoutMask` in src/random.ts. */
  dropoutMask(key0: number, key1: number, rate: number, out: Float32Array): void;
}
