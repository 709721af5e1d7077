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

/** How one pass of a convolution is computed. */
export interface PassAlgorithm {
  algorithm: ConvolutionAlgorithm;
  /** With `fft`, transforms are of n × n numbers; else 0. */
  transformSize: number;
}

/** One pass of one convolution, and how it is computed. */
export interface ConvolutionPassAlgorithm extends PassAlgorithm {
  pass: ConvolutionPass;
  /** Of `convolutionGeometry`. */
  geometry: number[];
}

/** Convolution, matrix product, pooling, normalization. */
export interface LayerFunctions<DeviceArray> {
  /**
   * @param x [batch, inHeight, inWidth, inChannels]
   * @param filter [filterHeight, filterWidth, inChannels, outChannels]
   * @param bias [outChannels], or null
   * @param out [batch, outHeight, outWidth, outChannels]
   * @param geometry of `convolutionGeometry`
   */
  conv2d(
    x: DeviceArray,
    filter: DeviceArray,
    bias: DeviceArray | null,
    out: DeviceArray,
    geometry: Int32Array,
    activation: Activation,
    precision: Precision,
  ): void;

  /** The gradient by x, into `dx`. */
  conv2dBackpropInput(
    dy: DeviceArray,
    filter: DeviceArray,
    dx: DeviceArray,
    geometry: Int32Array,
    precision: Precision,
  ): void;

  /** The gradients by the filter, into `dFilter`, and by the bias, into `dBias` unless that is null. */
  conv2dBackpropFilter(
    x: DeviceArray,
    dy: DeviceArray,
    dFilter: DeviceArray,
    dBias: DeviceArray | null,
    geometry: Int32Array,
    precision: Precision,
  ): void;

  /**
   * A convolution, its ReLU, and the max pooling of what that gives.
   *
   * @param x [batch, inHeight, inWidth, inChannels]
   * @param filter [filterHeight, filterWidth, inChannels, outChannels]
   * @param bias [outChannels]
   * @param out [batch, pooledHeight, pooledWidth, outChannels]
   * @param positions uint8, as long as `out`: for `conv2dMaxPoolBackpropFilter`
   * @param geometry of `convolutionGeometry`
   * @param pool of `poolGeometry`; windows of at most 255 positions
   */
  conv2dMaxPool(
    x: DeviceArray,
    filter: DeviceArray,
    bias: DeviceArray,
    out: DeviceArray,
    positions: DeviceArray,
    geometry: Int32Array,
    pool: Int32Array,
    precision: Precision,
  ): void;

  /** The gradients of `conv2dMaxPool` by the filter, into `dFilter`, and by the bias, into `dBias`. */
  conv2dMaxPoolBackpropFilter(
    x: DeviceArray,
    dy: DeviceArray,
    positions: DeviceArray,
    dFilter: DeviceArray,
    dBias: DeviceArray,
    geometry: Int32Array,
    pool: Int32Array,
    precision: Precision,
  ): void;

  /**
   * out[i] = a[i] · b[i], each transposed first where said, plus bias.
   * @param a [aBatch, m, k], or [aBatch, k, m] if `transposeA`
   * @param b [bBatch, k, n], or [bBatch, n, k] if `transposeB`
   * @param bias [n], or null
   * @param out [max(aBatch, bBatch), m, n]
   * @param sizes [aBatch, bBatch, m, k, n]; a batch of 1 is repeated
   */
  matMul(
    a: DeviceArray,
    b: DeviceArray,
    bias: DeviceArray | null,
    out: DeviceArray,
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
  maxPool(x: DeviceArray, out: DeviceArray, geometry: Int32Array): void;

  /**
   * Gives dy to the first greatest of each window, in row-major order. `y` is what `maxPool` gave.
   *
   * @param ofRelu x is what a ReLU gave, and dx becomes the gradient by what that was given
   */
  maxPoolGradient(
    dy: DeviceArray,
    x: DeviceArray,
    y: DeviceArray,
    dx: DeviceArray,
    geometry: Int32Array,
    ofRelu: boolean,
  ): void;

  /** The mean of each window; positions outside x are not counted. */
  averagePool(x: DeviceArray, out: DeviceArray, geometry: Int32Array): void;

  /**
   * As tfjs's own, divides dy by the window's size, whatever part of the window lies outside dx.
   */
  averagePoolGradient(dy: DeviceArray, dx: DeviceArray, geometry: Int32Array): void;

  /**
   * out[c] = x[c] · s[c]^−β, s[c] = bias + α · Σ x[c′]² over |c′ − c| ≤ radius within each group.
   * @param channels of the last dimension: x is [x.length / channels, channels]. To keep windows inside a
   *   tower, give the channels of one tower.
   */
  localResponseNormalization(
    x: DeviceArray,
    out: DeviceArray,
    channels: number,
    radius: number,
    bias: number,
    alpha: number,
    beta: number,
  ): void;

  localResponseNormalizationGradient(
    dy: DeviceArray,
    x: DeviceArray,
    dx: DeviceArray,
    channels: number,
    radius: number,
    bias: number,
    alpha: number,
    beta: number,
  ): void;

  /**
   * The gradient of max pooling and of the normalization before it. `normalized` is what that gave of x, and `y` what
   * `maxPool` gave of `normalized`.
   *
   * @param geometry of `poolGeometry`
   * @param channels all of the pooling's
   * @param ofRelu x is what a ReLU gave, and dx becomes the gradient by what that was given
   */
  maxPoolOfNormalizedGradient(
    dy: DeviceArray,
    x: DeviceArray,
    normalized: DeviceArray,
    y: DeviceArray,
    dx: DeviceArray,
    geometry: Int32Array,
    channels: number,
    radius: number,
    bias: number,
    alpha: number,
    beta: number,
    ofRelu: boolean,
  ): void;
}

/** What a training step does beside its layers. */
export interface TrainingFunctions<DeviceArray> {
  /**
   * Mean cross-entropy of softmax(logits), nats, and its gradient.
   * @param logits [batch, classes]
   * @param labels int32 [batch], each 0 … classes − 1
   * @param loss [1], the mean over the batch
   * @param gradient [batch, classes]
   */
  softmaxCrossEntropy(
    logits: DeviceArray,
    labels: DeviceArray,
    loss: DeviceArray,
    gradient: DeviceArray,
    classes: number,
  ): void;

  /**
   * v ← momentum·v − decay·rate·w − rate·g, then w ← w + v, in one pass; all of one length. `decay` and
   * `rate` as in the paper's section 5.
   *
   * @param check [1]: 0 if all of w and v is finite afterwards, else NaN
   */
  momentumUpdate(
    weight: DeviceArray,
    velocity: DeviceArray,
    gradient: DeviceArray,
    check: DeviceArray,
    rate: number,
    momentum: number,
    decay: number,
  ): void;

  /** out[i, c] = table[bytes[i, c], c]; bytes are uint8, the table is [256, channels]. */
  imagesFromBytes(bytes: DeviceArray, table: DeviceArray, out: DeviceArray): void;

  /** The very numbers of `fillDropoutMask` in src/random.ts. */
  dropoutMask(key0: number, key1: number, rate: number, out: DeviceArray): void;
}
