/**
 * A rank's parameters: their initial values, and the conversion between the canonical layout (PyTorch's, whole layer)
 * and the layout that TensorFlow computes with.
 *
 * A rank's share of a canonical tensor is a contiguous run of its first axis, 1/T of it unless the classes are divided
 * unevenly. It can be copied from and to the whole tensor without the other ranks.
 */
import * as tf from '@tensorflow/tfjs-core';
import { deriveKey, fillNormal, fillUniform } from '../random.js';
import { type Layer, type Network, type Parameter, elements } from './network.js';
import { outputsOfRank, shareOfRank } from './shares.js';

/** One rank's part of a parameter, in canonical layout. */
export interface Share {
  /** `[out of this rank, …]`. */
  shape: number[];
  /** Position of its first element in the whole tensor. */
  start: number;
  /** Number of elements. */
  length: number;
}

/** The share of `parameter` that `rank` holds. */
export function shareOf(parameter: Parameter, rank: number, towers: number): Share {
  const { hosts } = parameter;
  const [out, ...rest] = parameter.shape as [number, ...number[]];
  const { first, count } = outputsOfRank(out, shareOfRank(rank, towers, hosts), towers * hosts);
  const perOutput = elements(rest);
  return { shape: [count, ...rest], start: first * perOutput, length: count * perOutput };
}

/**
 * Draws a rank's initial values: its part of the sequence that (seed, parameter) determines, whatever the placement.
 *
 * @returns float32 values of the rank's share in canonical layout
 */
export function initialValues(
  parameter: Parameter,
  rank: number,
  towers: number,
  seed: number,
): Float32Array {
  const { start, length } = shareOf(parameter, rank, towers);
  const values = new Float32Array(length);
  const key = deriveKey(seed, 'initialization', parameter.name);
  const how = parameter.initialization;
  if (typeof how === 'number') {
    values.fill(how);
  } else if (how === 'kaimingUniform') {
    const bound = 1 / Math.sqrt(parameter.fanIn);
    fillUniform(key, start, -bound, bound, values);
  } else {
    fillNormal(key, start, how.normal, values);
  }
  return values;
}

/**
 * Converts one rank's share from canonical to computing layout.
 *
 * - conv: `[out, in, kh, kw]` → `[kh, kw, in, out]`
 * - fc: `[out, in]` with `in` in C,H,W order → `[in, out]` with `in` in H,W,C order, that of flattened NHWC activations
 * - local: `[out, height, width, in, kh, kw]` → `[height · width, kh · kw · in, out]`, and its bias
 *   `[out, height, width]` → `[height · width, 1, out]`
 * - other biases: unchanged
 *
 * @param layer the layer that owns the parameter
 * @param shape canonical shape of the share
 * @param values float32 values of the share
 */
export function toComputingLayout(layer: Layer, shape: number[], values: Float32Array): tf.Tensor {
  return tf.tidy(() => {
    if (shape.length === 1) return tf.tensor(values, shape, 'float32');
    if (layer.specification.type === 'local') {
      const [out, rows, columns, inputs = 1, height = 1, width = 1] = shape as [
        number,
        number,
        number,
      ];
      const whole = tf.tensor(values, [out, rows * columns, inputs, height * width], 'float32');
      return tf.reshape(tf.transpose(whole, [1, 3, 2, 0]), [rows * columns, -1, out]);
    }
    if (layer.specification.type === 'conv') {
      return tf.transpose(tf.tensor(values, shape, 'float32'), [2, 3, 1, 0]);
    }
    const { height, width, channels } = layer.input;
    const out = shape[0]!;
    const whole = tf.tensor(values, [out, channels, height, width], 'float32');
    return tf.reshape(tf.transpose(whole, [2, 3, 1, 0]), [height * width * channels, out]);
  });
}

/** Converts one rank's share from computing to canonical layout. @returns float32 values of the share */
export function toCanonicalLayout(layer: Layer, tensor: tf.Tensor): Float32Array {
  const values = new Float32Array(tensor.size);
  copyInCanonicalLayout(layer, tensor, values);
  return values;
}

/**
 * As `toCanonicalLayout`, into memory that is there: a checkpoint copies hundreds of megabytes while the towers wait.
 *
 * @param into float32, as many as the share has
 */
export function copyInCanonicalLayout(layer: Layer, tensor: tf.Tensor, into: Float32Array): void {
  const canonical = tf.tidy(() => inCanonicalLayout(layer, tensor));
  into.set(canonical.dataSync<'float32'>());
  canonical.dispose();
}

function inCanonicalLayout(layer: Layer, tensor: tf.Tensor): tf.Tensor {
  if (tensor.rank === 1) return tf.clone(tensor);
  if (layer.specification.type === 'local') {
    const [places, fanIn, out] = tensor.shape as [number, number, number];
    const inputs = fanIn === 1 ? 1 : layer.input.channels;
    const whole = tf.reshape(tensor, [places, fanIn / inputs, inputs, out]);
    return tf.transpose(whole, [3, 0, 2, 1]);
  }
  if (layer.specification.type === 'conv') {
    return tf.transpose(tensor, [3, 2, 0, 1]);
  }
  const { height, width, channels } = layer.input;
  const whole = tf.reshape(tensor, [height, width, channels, tensor.shape[1]!]);
  return tf.transpose(whole, [3, 2, 0, 1]);
}

/** The layer that owns `parameter`. */
export function layerOf(network: Network, parameter: Parameter): Layer {
  const layer = network.layers.find((candidate) => candidate.name === parameter.layer);
  if (layer === undefined) throw new Error(`parameter ${parameter.name} has no layer`);
  return layer;
}
