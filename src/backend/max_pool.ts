/**
 * Max pooling on TensorFlow's CPU device by oneDNN's kernels instead of those that tfjs-node-gpu calls.
 *
 * `MaxPoolGrad` searches each window's maximum again, in scalar code with a branch per element: 178 ms at
 * [128, 55, 55, 48], window 3, stride 2, one thread. oneDNN's forward kernel keeps the position of the maximum in a
 * workspace that its gradient reads: 5 ms and 9 ms. If TensorFlow was built with oneDNN (x86-64), it registers both
 * under names of its graph rewriter, and they can be called directly.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { OperationAttribute, TensorFlowBackend } from './tensorflow_backend.js';

interface PoolAttributes {
  filterSize: number | [number, number];
  strides: number | [number, number];
  pad: string | number;
}

/** Replaces the kernels `MaxPool` and `MaxPoolGrad` of this thread's backend, if TensorFlow has oneDNN's. */
export function registerWorkspaceMaxPool(backend: TensorFlowBackend): void {
  if (!hasWorkspaceMaxPool(backend)) return;
  replaceKernel(tf.MaxPool, (inputs, attributes) => {
    const [output, workspace] = forward(backend, inputs['x']!, attributes);
    workspace.dispose();
    return output;
  });
  replaceKernel(tf.MaxPoolGrad, (inputs, attributes) => {
    const { dy, input } = inputs as { dy: tf.TensorInfo; input: tf.TensorInfo };
    // Recomputing the output costs less than keeping every workspace until the backward pass.
    const [output, workspace] = forward(backend, input, attributes);
    const gradient = backend.executeSingleOutput(
      '_MklNativeMaxPoolGrad',
      operationAttributes(backend, attributes),
      [input, output, dy, workspace],
    );
    tf.dispose([output, workspace]);
    return gradient;
  });
}

function replaceKernel(
  kernelName: string,
  compute: (inputs: tf.NamedTensorInfoMap, attributes: PoolAttributes) => tf.TensorInfo,
): void {
  const own = tf.getKernel(kernelName, 'tensorflow');
  tf.unregisterKernel(kernelName, 'tensorflow');
  tf.registerKernel({
    kernelName,
    backendName: 'tensorflow',
    kernelFunc: (call) => {
      const attributes = call.attrs as unknown as PoolAttributes;
      if (attributes.pad !== 'valid') return own.kernelFunc(call);
      return compute(call.inputs, attributes);
    },
  });
}

function forward(
  backend: TensorFlowBackend,
  input: tf.TensorInfo,
  attributes: PoolAttributes,
): [tf.Tensor, tf.Tensor] {
  return backend.executeMultipleOutputs(
    '_MklNativeMaxPool',
    operationAttributes(backend, attributes),
    [input],
    2,
  ) as [tf.Tensor, tf.Tensor];
}

function operationAttributes(
  { binding }: TensorFlowBackend,
  { filterSize, strides }: PoolAttributes,
): OperationAttribute[] {
  const window = (size: number | [number, number]): number[] =>
    typeof size === 'number' ? [1, size, size, 1] : [1, ...size, 1];
  return [
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    { name: 'ksize', type: binding.TF_ATTR_INT, value: window(filterSize) },
    { name: 'strides', type: binding.TF_ATTR_INT, value: window(strides) },
    { name: 'padding', type: binding.TF_ATTR_STRING, value: 'VALID' },
    { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
    { name: 'workspace_enabled', type: binding.TF_ATTR_BOOL, value: true },
    // The label under which TensorFlow registers oneDNN's kernels on plain tensors.
    { name: '_kernel', type: binding.TF_ATTR_STRING, value: 'MklNameChangeOp' },
  ];
}

function hasWorkspaceMaxPool(backend: TensorFlowBackend): boolean {
  return (
    tf.tidy(() => {
      try {
        forward(backend, tf.ones([1, 2, 2, 1]), { filterSize: 2, strides: 2, pad: 'valid' });
        return 1;
      } catch {
        return 0;
      }
    }) === 1
  );
}
