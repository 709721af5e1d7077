/**
 * Binds the native backend's addon (native/*.cc): kernels on oneDNN and on loops of our own, for the CPU.
 * The backend's kernel registrations call these functions with the typed arrays that hold its tensors.
 *
 * What all functions share:
 * - Arrays are read and written where they lie; outputs are made by the caller, and every element of them
 *   is written. Arrays may be views, also on a SharedArrayBuffer. An output may be the very array of an
 *   input only where that is said; otherwise they must not overlap.
 * - Layouts are TensorFlow.js's: activations [batch, height, width, channels], filters [height, width,
 *   inChannels, outChannels], all row-major.
 * - Work runs to its end in the calling thread and its OpenMP team (`setThreads`).
 * - A wrong argument is a TypeError or RangeError, a failure of oneDNN an Error; each message begins with
 *   the function's name.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { addonPlaces } from '../../set_up_parts.js';

/** Values of a float32, int32 or bool tensor. */
export type Values = Float32Array | Int32Array | Uint8Array;

export type Integers = readonly number[] | Int32Array;

/** The type of a product's operands; sums and results are float32 in both. */
export type Precision = 'float32' | 'bfloat16';

/** Applied to a convolution's or product's result, after the bias. */
export type Activation = 'linear' | 'relu';

/**
 * a ∘ b. The first group gives the operands' type, on float32 and int32 (`div`, `pow`: float32 only); the
 * second gives bool from float32, int32 or bool; the third is bool from bool.
 */
export type BinaryOperation =
  | ('add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum' | 'squaredDifference' | 'pow')
  | ('equal' | 'notEqual' | 'greater' | 'greaterEqual' | 'less' | 'lessEqual')
  | ('logicalAnd' | 'logicalOr');

/**
 * float32 → float32. `step` takes α (x > 0 → 1, else α), `leakyRelu` takes α, `clip` takes the
 * lowest and the highest value; NaN stays NaN, in `relu` and `step` as well.
 */
export type UnaryOperation =
  | ('relu' | 'relu6' | 'step' | 'leakyRelu' | 'elu' | 'clip' | 'sigmoid' | 'tanh' | 'softplus')
  | ('sqrt' | 'rsqrt' | 'square' | 'reciprocal' | 'exp' | 'expm1' | 'log' | 'log1p')
  | ('neg' | 'abs' | 'sign' | 'floor' | 'ceil' | 'round' | 'sin' | 'cos');

/**
 * How a pass of a convolution is computed: by its definition, by Winograd's F(4×4, 3×3), or through the
 * frequency domain. The last two take float32 operands in every precision.
 */
export type ConvolutionAlgorithm = 'direct' | 'winograd' | 'fft';

/** A convolution, or its gradient by its input or by its filter and bias. */
export type ConvolutionPass = 'forward' | 'input' | 'filter';

export type Reduction = 'sum' | 'mean' | 'max' | 'min' | 'prod';

export interface NativeInformation {
  /** oneDNN's version, e.g. `2.6.3`. */
  oneDnn: string;
  /** Whether the processor multiplies bfloat16 numbers, so that `Precision` may be `bfloat16`. */
  bfloat16: boolean;
  /** Version of the rule that chooses a convolution's algorithm; the same version gives the same bits. */
  algorithms: number;
  /** Of the calling thread's team. */
  threads: number;
}

export interface NativeAddon {
  information(): NativeInformation;

  /** Threads that a call from the calling thread uses, 1 before; each thread has its own team. */
  setThreads(threads: number): void;

  /** Ends the process with this exit code, without waiting for its threads as Node does. */
  endProcess(code: number): never;

  /** Frees what the calling thread keeps between calls: primitives, scratch memory. */
  releaseMemory(): void;

  /**
   * Makes memory ready for tensors, before it is first written: where it is large the system is asked for
   * large pages, which it may decline.
   * @returns the index of the first byte that begins a cache line of 64 bytes: 0 … 63
   */
  prepareMemory(bytes: Uint8Array): number;

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
   * The greatest in each window; positions outside x are left out.
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

  /**
   * out = a ∘ b with NumPy's broadcasting; `out` may be `a` or `b` if its shape is theirs. Up to 8
   * dimensions.
   * @returns nothing; `outShape` must be the broadcast of the others
   */
  binary(
    operation: BinaryOperation,
    a: Values,
    aShape: Integers,
    b: Values,
    bShape: Integers,
    out: Values,
    outShape: Integers,
  ): void;

  /** `out` may be `x`. Parameters that the operation does not take are ignored; give 0. */
  unary(
    operation: UnaryOperation,
    x: Float32Array,
    out: Float32Array,
    parameter0: number,
    parameter1: number,
  ): void;

  /** dx = dy where y > 0, else 0; `dx` may be `dy`. */
  reluGradient(dy: Float32Array, y: Float32Array, dx: Float32Array): void;

  /**
   * out = all[…, first … first + n] + term.
   * @param all [rows, channels]
   * @param term [rows, n], as is `out`
   */
  addToChannels(
    all: Float32Array,
    term: Float32Array,
    out: Float32Array,
    channels: number,
    first: number,
  ): void;

  /** out = condition ? a : b, element by element, all of one length; a, b and out of one type. */
  select(condition: Uint8Array, a: Values, b: Values, out: Values): void;

  /**
   * Over the middle one of three dimensions; float32, or int32 for `sum`, `max`, `min` and `prod`.
   * @param x [outer, reduced, inner]
   * @param out [outer, inner]
   * @param sizes [outer, reduced, inner]
   */
  reduce(operation: Reduction, x: Values, out: Values, sizes: Integers): void;

  /** The index of the first greatest along the middle dimension; sizes as in `reduce`. */
  argMax(x: Float32Array | Int32Array, out: Int32Array, sizes: Integers): void;

  /** Over the last dimension: x and out are [x.length / columns, columns]. */
  softmax(x: Float32Array, out: Float32Array, columns: number, logarithm: boolean): void;

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

  /** Dimension i of `out` is dimension permutation[i] of `x`. Up to 8 dimensions. */
  transpose(x: Values, out: Values, shape: Integers, permutation: Integers): void;

  /**
   * Copies a box of `size` from `x`, starting at `xStart`, into `out` at `outStart`: slicing, and with
   * several calls concatenation and padding. x and out of one type; up to 8 dimensions. What lies outside
   * the box in `out` is kept.
   */
  copyBox(
    x: Values,
    xShape: Integers,
    xStart: Integers,
    out: Values,
    outShape: Integers,
    outStart: Integers,
    size: Integers,
  ): void;

  /**
   * out[o, i] = x[o, indices[i]].
   * @param x [outer, gathered, inner]
   * @param out [outer, indices.length, inner], of x's type
   * @param sizes [outer, gathered, inner]
   */
  gather(x: Values, indices: Int32Array, out: Values, sizes: Integers): void;

  /** Row i of `out` [indices.length, depth] is `onValue` at indices[i], if that is a column, else `offValue`. */
  oneHot(indices: Int32Array, out: Values, depth: number, onValue: number, offValue: number): void;

  /** `x` repeated times[d] times along each dimension d; out of x's type. Up to 8 dimensions. */
  tile(x: Values, out: Values, shape: Integers, times: Integers): void;

  /**
   * As TensorFlow's operation of that name.
   * @param x [batch, inHeight, inWidth, channels]
   * @param out [batch, outHeight, outWidth, channels]
   * @param sizes [batch, inHeight, inWidth, outHeight, outWidth, channels]
   */
  resizeBilinear(
    x: Float32Array,
    out: Float32Array,
    sizes: Integers,
    alignCorners: boolean,
    halfPixelCenters: boolean,
  ): void;

  fill(out: Values, value: number): void;

  /** Between any two types: towards int32 it truncates, and bool is x ≠ 0. */
  cast(x: Values, out: Values): void;

  /** Whether no element is NaN or infinite. */
  allFinite(x: Float32Array): boolean;

  /**
   * v ← momentum·v − decay·rate·w − rate·g, then w ← w + v, in one pass; all of one length. `decay` and
   * `rate` as in the paper's section 5.
   */
  momentumUpdate(
    weight: Float32Array,
    velocity: Float32Array,
    gradient: Float32Array,
    rate: number,
    momentum: number,
    decay: number,
  ): void;

  /** out[i, c] = table[bytes[i, c], c]; the table is [256, channels]. */
  imagesFromBytes(bytes: Uint8Array, table: Float32Array, out: Float32Array): void;

  /** The very numbers of `fillDropoutMask` in src/random.ts. */
  dropoutMask(key0: number, key1: number, rate: number, out: Float32Array): void;
}

/** What `backend_util.computeConv2DInfo` gives of a convolution, NHWC. */
export interface Conv2DInfo {
  batchSize: number;
  inHeight: number;
  inWidth: number;
  inChannels: number;
  outHeight: number;
  outWidth: number;
  outChannels: number;
  filterHeight: number;
  filterWidth: number;
  strideHeight: number;
  strideWidth: number;
  dilationHeight: number;
  dilationWidth: number;
  padInfo: { top: number; left: number };
}

/**
 * Padding below and to the right is what the sizes leave; it may be less than nothing, where a stride
 * leaves some rows of x unread.
 */
export function convolutionGeometry(info: Conv2DInfo): Int32Array {
  return Int32Array.of(
    info.batchSize,
    info.inHeight,
    info.inWidth,
    info.inChannels,
    info.outHeight,
    info.outWidth,
    info.outChannels,
    info.filterHeight,
    info.filterWidth,
    info.strideHeight,
    info.strideWidth,
    info.dilationHeight,
    info.dilationWidth,
    info.padInfo.top,
    info.padInfo.left,
  );
}

/** The same order, of `backend_util.computePool2DInfo`; the filter is the window. */
export const poolGeometry = convolutionGeometry;

const addonFile = addonPlaces('twotower').file;

/** Whether set-up has built the addon. */
export function nativeIsPrepared(): boolean {
  return existsSync(addonFile);
}

let loaded: NativeAddon | undefined;

/** The addon, the same object for all of a thread; each thread loads it for itself. */
export function loadNativeAddon(): NativeAddon {
  loaded ??= createRequire(import.meta.url)(addonFile) as NativeAddon;
  return loaded;
}
