/**
 * The project's own kernels, beyond tfjs's set. A backend may register any of them. Code that needs one asks
 * `hasKernel`, and composes it of tfjs's operations if the backend lacks it.
 */
import * as tf from '@tensorflow/tfjs-core';

/** 0 where y ≤ 0, else dy. Inputs `dy` and `y` of one shape. */
export const RELU_GRADIENT = 'ReluGradient';

/**
 * The gradient of max pooling and of the ReLU before it, in one pass. Inputs and attributes of tfjs's `MaxPoolGrad`, whose
 * `input` is what the ReLU gave; output: the gradient by what it was given.
 */
export const MAX_POOL_OF_RELU_GRADIENT = 'MaxPoolOfReluGradient';

/**
 * The gradient of max pooling, of the local response normalization before it and, if `ofRelu`, of the ReLU before that.
 * Inputs of tfjs's `MaxPoolGrad`, and `x` that was normalized; attributes of its `MaxPoolGrad` and `LRNGrad`, and
 * `ofRelu`; output: the gradient by `x`, or by what the ReLU was given.
 */
export const MAX_POOL_OF_NORMALIZED_GRADIENT = 'MaxPoolOfNormalizedGradient';

/**
 * Local response normalization across channels. Input `x` `[batch, height, width, channels]`, attributes of tfjs's
 * `LRN`; its gradient is tfjs's kernel `LRNGrad`. For backends where that is faster than the composed one.
 */
export const LOCAL_RESPONSE_NORMALIZATION = 'LocalResponseNormalization';

/**
 * Inputs `all` `[…, channels]` and `term` `[…, fewer]`, attribute `first`. Output: `term` plus the channels of `all`
 * from `first` on.
 */
export const ADD_TO_CHANNELS = 'AddToChannels';

/**
 * Inputs, attributes and first output as for tfjs's `Conv2DBackpropFilter`; the second output is the gradient by the
 * bias, `[outChannels]`.
 */
export const CONVOLUTION_PARAMETER_GRADIENTS = 'ConvolutionParameterGradients';

/**
 * A convolution with bias, its ReLU, and the max pooling of what that gives, in windows of at most 255 positions. Inputs
 * `x`, `filter` and `bias`; attributes `ConvolutionMaxPoolAttributes`. Outputs the pooled `[batch, height, width,
 * channels]` and, for the gradient, where each maximum was, of the same shape.
 */
export const CONVOLUTION_MAX_POOL = 'ConvolutionMaxPool';

/**
 * Inputs `x`, `dy` and `positions`, the second output of `ConvolutionMaxPool`; its attributes, and `filterShape`. Outputs
 * the gradients by the filter and by the bias.
 */
export const CONVOLUTION_MAX_POOL_PARAMETER_GRADIENTS = 'ConvolutionMaxPoolParameterGradients';

export interface ConvolutionMaxPoolAttributes {
  strides: number;
  pad: 'valid' | 'same';
  poolSize: number;
  poolStrides: number;
  poolPad: 'valid' | 'same';
}

/**
 * Inputs `logits` `[batch, classes]` and `labels` `[batch]` int32; outputs the mean loss, a scalar in nats,
 * and its gradient by the logits.
 */
export const SOFTMAX_CROSS_ENTROPY = 'SoftmaxCrossEntropy';

/** No inputs; attributes `DropoutMaskAttributes`; output float32, the numbers of `fillDropoutMask`. */
export const DROPOUT_MASK = 'DropoutMask';

export interface DropoutMaskAttributes {
  key: readonly [number, number];
  rate: number;
  shape: number[];
}

/**
 * Inputs `weight`, `velocity` and `gradient` of one shape; attributes `UpdateRule` of parallel/sgd.ts.
 * Outputs the next weight and the next velocity, which may take the memory of the inputs, and a scalar that is
 * 0 if both are finite, else NaN.
 */
export const MOMENTUM_UPDATE = 'MomentumUpdate';

/** No inputs; attributes `ImagesFromBytesAttributes`; output float32, the numbers of `imagesFromBytes`. */
export const IMAGES_FROM_BYTES = 'ImagesFromBytes';

export interface ImagesFromBytesAttributes {
  bytes: Uint8Array;
  /** `[256, channels]` */
  table: Float32Array;
  /** `[batch, height, width, channels]` */
  shape: number[];
}

/** Whether the calling thread's current backend has the kernel. */
export function hasKernel(name: string): boolean {
  // Its type omits undefined, which it returns for an unknown kernel.
  return (tf.getKernel(name, tf.getBackend()) as tf.KernelConfig | undefined) !== undefined;
}
