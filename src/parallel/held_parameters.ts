/**
 * The shares of the model's parameters that a worker's ranks own: weights, momentum buffers and, between `compute` and
 * `commit`, gradients.
 *
 * On the worker a share has the layout that the kernels compute in. `store` and `load` pass it in the canonical one,
 * PyTorch's, through whole tensors that all workers share.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { RankParameters } from '../model/forward.js';
import type { Layer, Network, Parameter } from '../model/network.js';
import {
  initialValues,
  layerOf,
  shareOf,
  copyInCanonicalLayout,
  toComputingLayout,
} from '../model/parameters.js';
import type { NotFinitePlace, SharedBuffers, StoreReply } from './messages.js';
import { momentumName } from './shared_parameters.js';
import type { Exchange } from './exchange.js';
import { finiteCheck, updateParameter } from './sgd.js';
import type { UpdateRuleOfRun } from './sgd.js';

/** One parameter of one rank. */
interface HeldParameter {
  parameter: Parameter;
  rank: number;
  weight: tf.Variable;
  velocity: tf.Variable;
  /** Gradient of the step computed last, until it is committed or discarded. */
  gradient: tf.Tensor | null;
  /** 0 if the weight and the velocity are finite, else NaN: made whenever they are replaced. */
  check: tf.Scalar;
}

export class HeldParameters {
  private readonly held: HeldParameter[] = [];
  /** The weights of each of the worker's ranks, by parameter. */
  readonly ofRanks: RankParameters[];

  /**
   * Initializes the ranks' shares, which depend only on the seed, the rank and the layer.
   *
   * @param exchange has the worker's ranks, and records what the worker is doing
   */
  constructor(
    private readonly network: Network,
    private readonly exchange: Exchange,
    seed: number,
  ) {
    this.ofRanks = exchange.ranks.map((rank) => this.initialize(rank, seed));
  }

  private initialize(rank: number, seed: number): RankParameters {
    const parameters: RankParameters = new Map();
    for (const parameter of this.network.parameters) {
      const { shape } = shareOf(parameter, rank, this.network.towers);
      const values = initialValues(parameter, rank, this.network.towers, seed);
      const initial = toComputingLayout(layerOf(this.network, parameter), shape, values);
      const name = `${parameter.name} of rank ${rank}`;
      const weight = tf.variable(initial, true, name);
      const still = tf.zerosLike(initial);
      const velocity = tf.variable(still, false, `velocity of ${name}`);
      tf.dispose([initial, still]);
      parameters.set(parameter.name, weight);
      const check = tf.scalar(0);
      this.held.push({ parameter, rank, weight, velocity, gradient: null, check });
    }
    return parameters;
  }

  /** Number of parameters in the worker's shares. */
  get count(): number {
    return this.held.reduce((sum, { weight }) => sum + weight.size, 0);
  }

  get weights(): tf.Variable[] {
    return this.held.map(({ weight }) => weight);
  }

  /** Those that are the same on every host which computes other images. */
  get replicatedWeights(): tf.Variable[] {
    return this.held.filter(({ parameter }) => parameter.hosts === 1).map(({ weight }) => weight);
  }

  /** Keeps the gradients of a step, by the weights' names, or adds them to those that are kept. */
  take(gradients: tf.NamedTensorMap): void {
    for (const held of this.held) {
      const gradient = gradients[held.weight.name]!;
      const before = held.gradient;
      held.gradient = before === null ? gradient : tf.add(before, gradient);
      if (before !== null) tf.dispose([before, gradient]);
    }
  }

  /** The kept gradient of a weight; null if there is none. */
  gradientOf({ id }: tf.Variable): tf.Tensor | null {
    return this.held.find(({ weight }) => weight.id === id)!.gradient;
  }

  /**
   * Frees the gradients, if there are any.
   *
   * @param isMeant of which parameters (default: of all)
   */
  discard(isMeant: (parameter: Parameter) => boolean = () => true): void {
    for (const held of this.held.filter(({ parameter }) => isMeant(parameter))) {
      held.gradient?.dispose();
      held.gradient = null;
    }
  }

  /** Updates each weight by its gradient, and frees the gradients. */
  update({ learningRate, multipliers, momentum, weightDecay }: UpdateRuleOfRun): void {
    for (const held of this.held) {
      const { parameter, rank, weight, velocity, gradient } = held;
      if (gradient === null) throw new Error('commit without a computed step');
      this.exchange.activity.moveTo('update', parameter.layer);
      this.exchange.timeline?.moveTo(`update ${parameter.layer}`, 'update', rank);
      held.check.dispose();
      held.check = updateParameter(weight, velocity, gradient, {
        learningRate:
          learningRate * (multipliers?.[parameter.name] ?? parameter.learningRateMultiplier),
        momentum,
        weightDecay: weightDecay * parameter.weightDecayMultiplier,
      });
    }
    this.discard();
  }

  /**
   * Scalars for `firstNotFinite`, which are not finite if a parameter or its gradient is not. A gradient's sum is finite only
   * if every term is, and takes one pass of the device. Call in a `tidy`.
   */
  checks(): tf.Scalar[] {
    return this.held.flatMap(({ check, gradient }) => [check, tf.sum<tf.Scalar>(gradient!)]);
  }

  /**
   * The first layer with a parameter that is not finite. If there is none, the last layer with a gradient that is
   * not: its gradient was computed first.
   *
   * The weights are checked too because a gradient can miss them: dropout and ReLU mask it, and the first layer has
   * no gradient by its input.
   *
   * @param checks values of `checks`
   */
  firstNotFinite(checks: Float32Array): NotFinitePlace | undefined {
    const places = this.held.map(({ parameter, rank }, index) => ({
      layer: this.network.layers.indexOf(layerOf(this.network, parameter)),
      rank,
      isParameterFinite: Number.isFinite(checks[2 * index]),
      isGradientFinite: Number.isFinite(checks[2 * index + 1]),
    }));
    const spoiled = places.find(({ isParameterFinite }) => !isParameterFinite);
    if (spoiled !== undefined) return { rank: spoiled.rank, layer: spoiled.layer, of: 'parameter' };
    const wrong = places.filter(({ isGradientFinite }) => !isGradientFinite);
    const last = Math.max(...wrong.map(({ layer }) => layer));
    const place = wrong.find(({ layer }) => layer === last);
    return place && { rank: place.rank, layer: place.layer, of: 'gradient' };
  }

  /** Copies this worker's shares into the shared whole tensors, and says which of them are not finite. */
  store(buffers: SharedBuffers): StoreReply {
    const notFinite: string[] = [];
    this.eachShare(buffers, (name, layer, _shape, tensor, whole) => {
      this.exchange.activity.moveTo('store', layer.name);
      copyInCanonicalLayout(layer, tensor, whole);
      if (!areFinite(whole)) notFinite.push(name);
    });
    return { notFinite };
  }

  /** Copies this worker's shares from the shared whole tensors. */
  load(buffers: SharedBuffers): void {
    for (const held of this.held) {
      held.check.dispose();
      held.check = tf.scalar(0);
    }
    this.eachShare(buffers, (_name, layer, shape, tensor, whole, held) => {
      this.exchange.activity.moveTo('load', layer.name);
      const loaded = toComputingLayout(layer, shape, whole.slice());
      const before = held.check;
      held.check = tf.tidy(() => tf.add<tf.Scalar>(before, finiteCheck(loaded)));
      before.dispose();
      tensor.assign(loaded);
      loaded.dispose();
    });
  }

  /**
   * Visits each weight and each momentum buffer of the worker's ranks.
   *
   * @param visit gets the tensor's name, its layer, the share's canonical shape, the tensor and the share's part of
   *   the shared whole tensor
   */
  private eachShare(
    { parameters, velocities }: SharedBuffers,
    visit: (
      name: string,
      layer: Layer,
      shape: number[],
      tensor: tf.Variable,
      whole: Float32Array,
      held: HeldParameter,
    ) => void,
  ): void {
    for (const held of this.held) {
      const { parameter, rank, weight, velocity } = held;
      const layer = layerOf(this.network, parameter);
      const { shape, start, length } = shareOf(parameter, rank, this.network.towers);
      const shareIn = (whole: SharedArrayBuffer): Float32Array =>
        new Float32Array(whole, start * Float32Array.BYTES_PER_ELEMENT, length);
      const { name } = parameter;
      visit(name, layer, shape, weight, shareIn(parameters![name]!), held);
      visit(momentumName(parameter), layer, shape, velocity, shareIn(velocities![name]!), held);
    }
  }

  /** The sum of the squares of each parameter's gradient, over the worker's ranks. */
  gradientSquares(): Record<string, number> {
    const squares: Record<string, number> = {};
    for (const { parameter, gradient } of this.held) {
      const square = tf.tidy<number>(() => tf.sum(tf.square(gradient!)).dataSync<'float32'>()[0]!);
      squares[parameter.name] = (squares[parameter.name] ?? 0) + square;
    }
    return squares;
  }

  /** Adds `scale` times its gradient to the parameter of this name. */
  perturb(name: string, scale: number): void {
    for (const { parameter, weight, gradient } of this.held) {
      if (parameter.name !== name) continue;
      tf.tidy(() => weight.assign(tf.add(weight, tf.mul(gradient!, scale))));
    }
  }
}

/** The bits of the exponent, which all are set in an infinity and in NaN alone. */
const EXPONENT = 0x7f800000;

/** Compares bits: a sum would make each value wait for the one before. */
function areFinite({ buffer, byteOffset, length }: Float32Array): boolean {
  const bits = new Int32Array(buffer, byteOffset, length);
  let areAll = 1;
  for (let index = 0; index < length; index++) {
    areAll &= Number((bits[index]! & EXPONENT) !== EXPONENT);
  }
  return areAll === 1;
}
