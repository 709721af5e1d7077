/**
 * The gradient of max pooling, together with those of the local response normalization and of the ReLU before it: one
 * kernel if the backend has it, so that the gradients between them are neither written nor read again.
 *
 * Such a gradient has passed back through those operations already. They learn so from their own gradient's data, and
 * leave it as it is.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  hasKernel,
  LOCAL_RESPONSE_NORMALIZATION,
  MAX_POOL_OF_NORMALIZED_GRADIENT,
  MAX_POOL_OF_RELU_GRADIENT,
} from './own_kernels.js';

/** Data of tensors that a fused layer's ReLU gave. */
const reluOutputs = new WeakSet<object>();
/** By the data of tensors that normalization gave. */
const normalizations = new WeakMap<object, tf.LRNAttrs>();
/** Data of gradients that have passed back through the ReLU, or the normalization, of what they are gradients by. */
const beforeRelu = new WeakSet<object>();
const beforeNormalization = new WeakSet<object>();

/** Notes that a layer's own ReLU gave `y`. */
export function noteReluOutput(y: tf.Tensor): void {
  reluOutputs.add(y.dataId);
}

/** Notes that local response normalization gave `y`. */
export function noteNormalized(y: tf.Tensor, attributes: tf.LRNAttrs): void {
  normalizations.set(y.dataId, attributes);
}

/** Whether `dy`, the gradient of a fused layer's output, is the gradient before its ReLU already. */
export function isBeforeRelu(dy: tf.Tensor): boolean {
  return beforeRelu.has(dy.dataId);
}

/** Whether `dy`, the gradient of a normalization's output, is the gradient by its input already. */
export function isBeforeNormalization(dy: tf.Tensor): boolean {
  return beforeNormalization.has(dy.dataId);
}

/** Replaces tfjs's gradient of max pooling in the calling thread. */
export function registerMaxPoolGradient(): void {
  const { gradFunc, ...saved } = tf.getGradient(tf.MaxPool);
  tf.unregisterGradient(tf.MaxPool);
  tf.registerGradient({
    ...saved,
    gradFunc: (dy, tensors, attributes) => {
      const [input, output] = tensors as [tf.Tensor, tf.Tensor];
      const all = { dy: dy as tf.Tensor, input, output };
      if (normalizations.has(input.dataId) && hasKernel(MAX_POOL_OF_NORMALIZED_GRADIENT)) {
        const x = normalizedFrom(input);
        if (x !== undefined) return { x: () => ofNormalized({ ...all, x }, attributes) };
      }
      if (reluOutputs.has(input.dataId) && hasKernel(MAX_POOL_OF_RELU_GRADIENT)) {
        return { x: () => ofRelu(all, attributes) };
      }
      return gradFunc(dy, tensors, attributes);
    },
  });
}

/**
 * If the ReLU's output is read elsewhere too, tfjs adds the gradients to a new tensor, whose gradient through the ReLU is
 * computed as ever: a second time changes nothing.
 */
function ofRelu(
  inputs: { dy: tf.Tensor; input: tf.Tensor; output: tf.Tensor },
  attributes: tf.NamedAttrMap,
): tf.Tensor {
  const dx: tf.Tensor = tf.engine().runKernel(MAX_POOL_OF_RELU_GRADIENT, inputs, attributes);
  beforeRelu.add(dx.dataId);
  return dx;
}

function ofNormalized(
  inputs: { dy: tf.Tensor; x: tf.Tensor; input: tf.Tensor; output: tf.Tensor },
  attributes: tf.NamedAttrMap,
): tf.Tensor {
  const ofRelu = reluOutputs.has(inputs.x.dataId);
  const all = { ...attributes, ...normalizations.get(inputs.input.dataId), ofRelu };
  const dx: tf.Tensor = tf.engine().runKernel(MAX_POOL_OF_NORMALIZED_GRADIENT, inputs, all);
  beforeNormalization.add(dx.dataId);
  if (ofRelu) beforeRelu.add(dx.dataId);
  return dx;
}

/**
 * What the tape's normalization was given, if max pooling alone reads its output: a sum of gradients of which one has
 * passed back through the normalization already would be wrong.
 */
function normalizedFrom({ dataId }: tf.Tensor): tf.Tensor | undefined {
  const tape = tf.engine().state.activeTape ?? [];
  const has = (tensors: tf.Tensor[]): boolean => tensors.some((tensor) => tensor.dataId === dataId);
  // A clone or a reshaped tensor is the same data.
  const readers = tape.filter(({ inputs, outputs }) => has(Object.values(inputs)) && !has(outputs));
  if (readers.length !== 1) return undefined;
  return tape.find(
    ({ kernelName, outputs }) => kernelName === LOCAL_RESPONSE_NORMALIZATION && has(outputs),
  )?.saved?.[0];
}
