/**
 * The layer list, as in a preset's JSON under `network.layers`: the network is data.
 *
 * Kernels, units and channels are counted over all towers together; each tower holds 1/T of them.
 */

/** What a layer with parameters sees: its own tower's activations, or those of all towers, which then exchange. */
export type Reads = 'own' | 'all';

/**
 * How a parameter tensor is initialized.
 * - a number: that constant;
 * - `{ normal: s }`: N(0, s²), as in section 5 of the paper;
 * - `'kaimingUniform'`: U(−b, b) with b = 1/√fan-in, for weights and biases alike. This is the default of
 *   `torch.nn.Conv2d` and `torch.nn.Linear` (Kaiming uniform with a = √5).
 */
export type Initialization = number | { normal: number } | 'kaimingUniform';

/** How one parameter tensor is initialized and updated. Multipliers default to 1. */
export interface ParameterRecipe {
  initialization: Initialization;
  /** Multiplies the run's learning rate. */
  learningRate?: number;
  /** Whether the learning rate follows the run's schedule (default true), or stays as at the start. */
  followsSchedule?: boolean;
  /** Multiplies the run's weight decay. */
  weightDecay?: number;
}

/** Convolution with square kernels. */
export interface ConvLayer {
  type: 'conv';
  name: string;
  /** Kernels over all towers. */
  kernels: number;
  /** Height and width of a kernel, pixels. */
  size: number;
  stride: number;
  /** Zeros added on each side, pixels. */
  pad: number;
  /** Round the number of positions up: the last window may extend past the far edges, over zeros. */
  ceil?: boolean;
  reads: Reads;
  weight: ParameterRecipe;
  bias: ParameterRecipe;
}

/** A convolution with stride 1 that has other kernels and biases at each position (cuda-convnet's `local`). */
export interface LocalLayer {
  type: 'local';
  name: string;
  /** Kernels at each position, over all towers. */
  kernels: number;
  /** Height and width of a kernel, pixels. */
  size: number;
  /** Zeros added on each side, pixels. */
  pad: number;
  reads: Reads;
  weight: ParameterRecipe;
  bias: ParameterRecipe;
}

/** Connects every input to every unit. */
export interface FullyConnectedLayer {
  type: 'fc';
  name: string;
  /** Outputs over all towers; `classes` stands for the data's number of classes. */
  units: number | 'classes';
  reads: Reads;
  weight: ParameterRecipe;
  bias: ParameterRecipe;
}

/** max(0, x). */
export interface ReluLayer {
  type: 'relu';
}

/** Local response normalization over `size` adjacent channels (paper, section 3.3). */
export interface LrnLayer {
  type: 'lrn';
  /** Channels in the window: n of the paper, odd. */
  size: number;
  k: number;
  /** Multiplies the sum of squares, as in the paper. PyTorch's alpha and cuda-convnet's scale are this times `size`. */
  alpha: number;
  beta: number;
  /**
   * `own` (the default): the window ends at the tower's boundary, as in the paper. `all`: it crosses the boundary, as in
   * Caffe, whose LRN knows nothing of a convolution's groups; the towers then exchange their activations.
   */
  reads?: Reads;
}

/** Normalization over `size` × `size` adjacent pixels of the same channel: the 2012 source's `rnorm`. */
export interface RnormLayer {
  type: 'rnorm';
  /** Height and width of the window, pixels, odd. */
  size: number;
  k: number;
  /** Multiplies the sum of squares. The source's scale is this times `size`². */
  alpha: number;
  beta: number;
}

/** The largest value of a square window. Windows may overlap. */
export interface PoolLayer {
  type: 'maxPool';
  /** Height and width of the window, pixels. */
  size: number;
  stride: number;
  /** Round the number of positions up, as cuda-convnet does: the last window may extend past the far edges. */
  ceil?: boolean;
}

/** Zeroes activations at random during training. */
export interface DropoutLayer {
  type: 'dropout';
  name: string;
  /** Probability that a unit is dropped in training. Kept units are scaled by 1/(1 − rate). */
  rate: number;
}

export type LayerSpecification =
  | ConvLayer
  | LocalLayer
  | FullyConnectedLayer
  | ReluLayer
  | LrnLayer
  | RnormLayer
  | PoolLayer
  | DropoutLayer;

/** Shape of one image's activations; a vector is 1 × 1 × length. */
export interface ActivationShape {
  height: number;
  width: number;
  channels: number;
}

/** A network as data: the image it takes and its layers in order. */
export interface NetworkSpecification {
  input: ActivationShape;
  layers: LayerSpecification[];
}
