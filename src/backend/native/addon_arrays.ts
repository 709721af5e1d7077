/** Functions of the native addon on arrays of any shape. What all have in common: addon.ts. */

export type Integers = readonly number[] | Int32Array;

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

export type Reduction = 'sum' | 'mean' | 'max' | 'min' | 'prod';

/** Functions of one element of each operand. */
export interface ElementwiseFunctions<DeviceArray> {
  /**
   * out = a ∘ b with NumPy's broadcasting; `out` may be `a` or `b` if its shape is theirs. Up to 8
   * dimensions.
   * @returns nothing; `outShape` must be the broadcast of the others
   */
  binary(
    operation: BinaryOperation,
    a: DeviceArray,
    aShape: Integers,
    b: DeviceArray,
    bShape: Integers,
    out: DeviceArray,
    outShape: Integers,
  ): void;

  /** `out` may be `x`. Parameters that the operation does not take are ignored; give 0. */
  unary(
    operation: UnaryOperation,
    x: DeviceArray,
    out: DeviceArray,
    parameter0: number,
    parameter1: number,
  ): void;

  /** dx = 0 where y ≤ 0, else dy; `dx` may be `dy`. */
  reluGradient(dy: DeviceArray, y: DeviceArray, dx: DeviceArray): void;

  /**
   * out = all[…, first … first + n] + term.
   * @param all [rows, channels]
   * @param term [rows, n], as is `out`
   */
  addToChannels(
    all: DeviceArray,
    term: DeviceArray,
    out: DeviceArray,
    channels: number,
    first: number,
  ): void;

  /** out = condition ? a : b, element by element, all of one length; a, b and out of one type. */
  select(condition: DeviceArray, a: DeviceArray, b: DeviceArray, out: DeviceArray): void;

  fill(out: DeviceArray, value: number): void;

  /** Between any two types: towards int32 it truncates, and bool is x ≠ 0. */
  cast(x: DeviceArray, out: DeviceArray): void;
}

export interface ReductionFunctions<DeviceArray> {
  /**
   * Over the middle one of three dimensions; float32, or int32 for `sum`, `max`, `min` and `prod`.
   * @param x [outer, reduced, inner]
   * @param out [outer, inner]
   * @param sizes [outer, reduced, inner]
   */
  reduce(operation: Reduction, x: DeviceArray, out: DeviceArray, sizes: Integers): void;

  /** The index of the first greatest along the middle dimension; sizes as in `reduce`. */
  argMax(x: DeviceArray, out: DeviceArray, sizes: Integers): void;

  /** Over the last dimension: x and out are [x.length / columns, columns]. */
  softmax(x: DeviceArray, out: DeviceArray, columns: number, logarithm: boolean): void;
}

/** Functions that move values, by position or by index. */
export interface MovementFunctions<DeviceArray> {
  /** Dimension i of `out` is dimension permutation[i] of `x`. Up to 8 dimensions. */
  transpose(x: DeviceArray, out: DeviceArray, shape: Integers, permutation: Integers): void;

  /**
   * Copies a box of `size` from `x`, starting at `xStart`, into `out` at `outStart`: slicing, and with
   * several calls concatenation and padding. x and out of one type; up to 8 dimensions. What lies outside
   * the box in `out` is kept.
   */
  copyBox(
    x: DeviceArray,
    xShape: Integers,
    xStart: Integers,
    out: DeviceArray,
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
  gather(x: DeviceArray, indices: DeviceArray, out: DeviceArray, sizes: Integers): void;

  /** Row i of `out` [indices.length, depth] is `onValue` at indices[i], if that is a column, else `offValue`. */
  oneHot(
    indices: DeviceArray,
    out: DeviceArray,
    depth: number,
    onValue: number,
    offValue: number,
  ): void;

  /** `x` repeated times[d] times along each dimension d; out of x's type. Up to 8 dimensions. */
  tile(x: DeviceArray, out: DeviceArray, shape: Integers, times: Integers): void;

  /**
   * As TensorFlow's operation of that name.
   * @param x [batch, inHeight, inWidth, channels]
   * @param out [batch, outHeight, outWidth, channels]
   * @param sizes [batch, inHeight, inWidth, outHeight, outWidth, channels]
   */
  resizeBilinear(
    x: DeviceArray,
    out: DeviceArray,
    sizes: Integers,
    alignCorners: boolean,
    halfPixelCenters: boolean,
  ): void;
}
