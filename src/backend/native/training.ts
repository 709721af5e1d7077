/** Kernels of training alone: the loss, the dropout mask and the update rule, each in one pass. */
import * as tf from '@tensorflow/tfjs-core';
import {
  DROPOUT_MASK,
  MOMENTUM_UPDATE,
  SOFTMAX_CROSS_ENTROPY,
  type DropoutMaskAttributes,
} from '../own_kernels.js';
import type { Inputs, Kernels } from './kernel.js';
import type { DeviceBackend } from './device_backend.js';

interface MomentumUpdateAttributes {
  learningRate: number;
  momentum: number;
  weightDecay: number;
}

export const trainingKernels: Kernels = {
  [SOFTMAX_CROSS_ENTROPY]: (backend, { logits, labels }: Inputs<'logits' | 'labels'>) => {
    const scores = required(backend, logits, 'logits');
    const classes = backend.arrayOf(labels);
    if (!classes || labels.dtype !== 'int32') throw new TypeError('labels must be int32');
    const gradient = backend.allocate(logits.shape);
    const loss = backend.allocate([]);
    backend.addon.softmaxCrossEntropy(scores, classes, loss, gradient, logits.shape[1]!);
    return [
      backend.makeTensorInfo([], 'float32', loss),
      backend.makeTensorInfo(logits.shape, 'float32', gradient),
    ];
  },

  [DROPOUT_MASK]: (backend, _inputs: unknown, { key, rate, shape }: DropoutMaskAttributes) => {
    const mask = backend.allocate(shape);
    backend.addon.dropoutMask(...key, rate, mask);
    return backend.makeTensorInfo(shape, 'float32', mask);
  },

  [MOMENTUM_UPDATE]: (
    backend,
    { weight, velocity, gradient }: Inputs<'weight' | 'velocity' | 'gradient'>,
    { learningRate, momentum, weightDecay }: MomentumUpdateAttributes,
  ) => {
    const change = required(backend, gradient, 'gradient');
    const next = [weight, velocity].map((tensor) => writable(backend, tensor));
    const [weights, velocities] = next.map((tensor) => backend.float32(tensor)!);
    const check = backend.allocate([]);
    backend.addon.momentumUpdate(
      weights!,
      velocities!,
      change,
      check,
      learningRate,
      momentum,
      weightDecay,
    );
    return [...next, backend.makeTensorInfo([], 'float32', check)];
  },
};

/** The tensor itself with one more reference, if no other has its memory; else a copy. */
function writable<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  tensor: tf.TensorInfo,
): tf.TensorInfo {
  if (backend.isUnshared(tensor)) {
    backend.incRef(tensor.dataId);
    return { dataId: tensor.dataId, shape: tensor.shape, dtype: tensor.dtype };
  }
  const copy = backend.allocate(tensor.shape);
  const values = required(backend, tensor, 'parameter');
  const size = [tf.util.sizeFromShape(tensor.shape)];
  backend.addon.copyBox(values, size, [0], copy, size, [0], size);
  return backend.makeTensorInfo(tensor.shape, 'float32', copy);
}

function required<DeviceArray>(
  backend: DeviceBackend<DeviceArray>,
  tensor: tf.TensorInfo,
  name: string,
): DeviceArray {
  const values = backend.float32(tensor);
  if (!values) throw new TypeError(`${name} must be float32, it is ${tensor.dtype}`);
  return values;
}
