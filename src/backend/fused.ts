/**
 * The operations that a training step spends its time in, each one kernel if the backend has one for it: a layer with
 * its bias and ReLU, the loss, the dropout mask. They are differentiable once `registerFusedGradients` has run in the
 * thread.
 */
import * as tf from '@tensorflow/tfjs-core';
import { fillDropoutMask, type Key } from '../random.js';
import type { Activation } from './numerics.js';
import {
  CONVOLUTION_MAX_POOL,
  CONVOLUTION_MAX_POOL_PARAMETER_GRADIENTS,
  CONVOLUTION_PARAMETER_GRADIENTS,
  DROPOUT_MASK,
  hasKernel,
  LOCAL_RESPONSE_NORMALIZATION,
  SOFTMAX_CROSS_ENTROPY,
  type ConvolutionMaxPoolAttributes,
  type DropoutMaskAttributes,
} from './own_kernels.js';
import {
  isBeforeNormalization,
  isBeforeRelu,
  noteReluOutput,
  registerMaxPoolGradient,
} from './pool_gradient.js';
import { reluGradient } from './relu_gradient.js';

/** Functions that give the gradient by each input, by the input's name. */
type Gradients = Record<string, () => tf.Tensor>;

/**
 * Registers gradients that tfjs lacks: it has the kernels on every backend, but its `tf.fused` is for inference. Replaces
 * that of max pooling.
 */
export function registerFusedGradients(): void {
  registerMaxPoolGradient();
  tf.registerGradient({
    kernelName: tf.FusedConv2D,
    inputsToSave: ['x', 'filter'],
    outputsToSave: [true],
    gradFunc: (dy, saved, attributes) =>
      convolutionGradients(dy as tf.Tensor4D, saved, attributes as unknown as tf.FusedConv2DAttrs),
  });
  tf.registerGradient({
    kernelName: CONVOLUTION_MAX_POOL,
    inputsToSave: ['x', 'filter'],
    outputsToSave: [false, true],
    gradFunc: (dy, saved, attributes) =>
      pooledConvolutionGradients((dy as tf.Tensor[])[0]!, saved, attributes),
  });
  tf.registerGradient({
    kernelName: tf._FusedMatMul,
    inputsToSave: ['a', 'b'],
    outputsToSave: [true],
    gradFunc: (dy, saved, attributes) =>
      productGradients(dy as tf.Tensor3D, saved, attributes as unknown as tf._FusedMatMulAttrs),
  });
  tf.registerGradient({
    kernelName: LOCAL_RESPONSE_NORMALIZATION,
    inputsToSave: ['x'],
    outputsToSave: [true],
    gradFunc: (dy, [x, y], attributes) => ({
      x: () =>
        isBeforeNormalization(dy as tf.Tensor)
          ? tf.clone(dy as tf.Tensor)
          : tf.engine().runKernel(tf.LRNGrad, { x: x!, y: y!, dy: dy as tf.Tensor }, attributes),
    }),
  });
  tf.registerGradient({
    kernelName: SOFTMAX_CROSS_ENTROPY,
    outputsToSave: [false, true],
    gradFunc: (dy, [gradient]) => ({ logits: () => tf.mul(gradient!, (dy as tf.Tensor[])[0]!) }),
  });
}

/**
 * @param x `[batch, height, width, inChannels]`
 * @param filter `[height, width, inChannels, outChannels]`
 * @param bias `[outChannels]`
 * @returns `[batch, outHeight, outWidth, outChannels]`
 */
export function convolve(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D,
  strides: number,
  pad: 'valid' | 'same',
  activation: Activation,
): tf.Tensor4D {
  const attributes = { strides, pad, dataFormat: 'NHWC', dilations: [1, 1], activation };
  const y: tf.Tensor4D = tf.engine().runKernel(tf.FusedConv2D, { x, filter, bias }, attributes);
  if (activation === 'relu') noteReluOutput(y);
  return y;
}

function convolutionGradients(
  dy: tf.Tensor4D,
  saved: tf.Tensor[],
  { strides, pad, dataFormat, activation }: tf.FusedConv2DAttrs,
): Gradients {
  const [x, filter, y] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
  const passesRelu = activation === 'relu' && !isBeforeRelu(dy);
  const gradient = passesRelu ? (reluGradient(dy, y) as tf.Tensor4D) : dy;
  const attributes = { strides, pad, dataFormat };
  const [dFilter, dBias] = convolutionParameterGradients(x, gradient, filter.shape, attributes);
  return {
    x: () =>
      lastUse(gradient, dy, () =>
        tf.engine().runKernel(
          tf.Conv2DBackpropInput,
          { dy: gradient, filter },
          {
            ...attributes,
            inputShape: x.shape,
          },
        ),
      ),
    filter: () => dFilter,
    bias: () => dBias,
  };
}

/**
 * A convolution of images with its ReLU and the max pooling after it, in one pass: what lies between them, often the
 * largest tensor of a network, is not written. For backends with the kernel `CONVOLUTION_MAX_POOL`. There is no gradient
 * by the images.
 *
 * @param images `[batch, height, width, inChannels]`
 * @param filter `[height, width, inChannels, outChannels]`
 * @param bias `[outChannels]`
 * @returns `[batch, pooledHeight, pooledWidth, outChannels]`
 */
export function convolveAndPool(
  images: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D,
  attributes: ConvolutionMaxPoolAttributes,
): tf.Tensor4D {
  const inputs = { x: images, filter, bias };
  const outputs: tf.Tensor[] = tf
    .engine()
    .runKernel(CONVOLUTION_MAX_POOL, inputs, { ...attributes });
  return outputs[0] as tf.Tensor4D;
}

function pooledConvolutionGradients(
  dy: tf.Tensor,
  saved: tf.Tensor[],
  attributes: tf.NamedAttrMap,
): Gradients {
  const [x, filter, positions] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
  const [dFilter, dBias]: tf.Tensor[] = tf
    .engine()
    .runKernel(
      CONVOLUTION_MAX_POOL_PARAMETER_GRADIENTS,
      { x, dy, positions },
      { ...attributes, filterShape: filter.shape },
    );
  return {
    x: () => {
      throw new Error('images have no gradient where their convolution is pooled at once');
    },
    filter: () => dFilter!,
    bias: () => dBias!,
  };
}

/** The gradients by the filter and by the bias. */
function convolutionParameterGradients(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  filterShape: number[],
  attributes: tf.NamedAttrMap,
): [tf.Tensor, tf.Tensor] {
  const all = { ...attributes, filterShape };
  if (hasKernel(CONVOLUTION_PARAMETER_GRADIENTS)) {
    return tf.engine().runKernel(CONVOLUTION_PARAMETER_GRADIENTS, { x, dy }, all);
  }
  return [tf.engine().runKernel(tf.Conv2DBackpropFilter, { x, dy }, all), tf.sum(dy, [0, 1, 2])];
}

/**
 * @param x `[batch, in]`
 * @param weight `[in, out]`
 * @param bias `[out]`
 * @returns `[batch, out]`
 */
export function fullyConnect(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  bias: tf.Tensor1D,
  activation: Activation,
): tf.Tensor2D {
  const [batch, inputs] = x.shape;
  const outputs = bias.size;
  // The kernel takes batches of matrices; without a batch dimension wasm's reads past its inputs.
  const a = tf.reshape(x, [1, batch, inputs]);
  const b = tf.reshape(weight, [1, inputs, outputs]);
  const attributes = { transposeA: false, transposeB: false, activation };
  const y: tf.Tensor = tf.engine().runKernel(tf._FusedMatMul, { a, b, bias }, attributes);
  return tf.reshape(y, [batch, outputs]);
}

/** Gradients of a product of untransposed operands, each a batch of one matrix. */
function productGradients(
  dy: tf.Tensor3D,
  saved: tf.Tensor[],
  { activation }: tf._FusedMatMulAttrs,
): Gradients {
  const [a, b, y] = saved as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
  const gradient = activation === 'relu' ? reluGradient(dy, y) : dy;
  const [dB, dBias] = [tf.matMul(a, gradient, true, false), tf.sum(gradient, [0, 1])];
  return {
    a: () => lastUse(gradient, dy, () => tf.matMul(gradient, b, false, true)),
    b: () => dB,
    bias: () => dBias,
  };
}

/**
 * Computes with the gradient of a ReLU, then frees it: the tape would keep it until the whole backward pass ends.
 *
 * @param dy the gradient of the ReLU's output, which the tape owns; the same tensor as `gradient` without a ReLU
 */
function lastUse(gradient: tf.Tensor, dy: tf.Tensor, compute: () => tf.Tensor): tf.Tensor {
  const result = compute();
  if (gradient !== dy) gradient.dispose();
  return result;
}

/**
 * Mean softmax cross-entropy over the batch.
 *
 * @param logits `[batch, classes]`
 * @param labels `[batch]` int32
 * @returns scalar, nats
 */
export function crossEntropy(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  if (hasKernel(SOFTMAX_CROSS_ENTROPY)) {
    const outputs: tf.Tensor[] = tf.engine().runKernel(SOFTMAX_CROSS_ENTROPY, { logits, labels });
    return outputs[0] as tf.Scalar;
  }
  const [batch, classes] = logits.shape;
  const oneHot = tf.cast(tf.oneHot(labels, classes), 'float32');
  return tf.div(tf.neg(tf.sum(tf.mul(oneHot, tf.logSoftmax(logits)))), batch);
}

/**
 * @param rate probability of 0; else 1/(1 − rate)
 * @param start position of the first element in the key's sequence
 * @returns float32 of `shape`, the same on every backend
 */
export function dropoutMask(key: Key, rate: number, shape: number[], start = 0): tf.Tensor {
  if (start > 0) {
    // Drawing takes less than the layer that it is for, so what comes before is drawn as well.
    return tf.tidy(() => {
      const size = tf.util.sizeFromShape(shape);
      const whole = dropoutMask(key, rate, [start + size]);
      return tf.reshape(tf.slice(whole, [start], [size]), shape);
    });
  }
  if (hasKernel(DROPOUT_MASK)) {
    const attributes: DropoutMaskAttributes = { key, rate, shape };
    return tf.engine().runKernel(DROPOUT_MASK, {}, attributes as unknown as tf.NamedAttrMap);
  }
  const mask = new Float32Array(tf.util.sizeFromShape(shape));
  fillDropoutMask(key, rate, mask);
  return tf.tensor(mask, shape, 'float32');
}
