/**
 * The TensorFlow backend: tfjs-node-gpu's addon over the library that set-up prepared, with each thread pinned to one
 * device.
 */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { encodeContextConfig, type ContextConfig } from './context_config.js';
import { loadDevicePin } from './device_pin.js';
import { buildByTurns } from './build_by_turns.js';
import { registerWorkspaceMaxPool } from './max_pool.js';
import { keepNaNInMaxPool } from './nan.js';
import { RELU_GRADIENT } from './own_kernels.js';
import type { TensorFlowBackend } from './tensorflow_backend.js';

const require = createRequire(import.meta.url);

/**
 * Loads the backend into this thread and makes it tfjs's current one.
 *
 * @param device TensorFlow's name for it, such as `/device:GPU:1`
 * @returns TensorFlow's version
 */
export async function useTensorFlow(device: string, config: ContextConfig): Promise<string> {
  loadDevicePin().pin(device, encodeContextConfig(config));
  restoreIsNullOrUndefined(require('node:util') as LegacyUtil);
  // It creates its context while it loads.
  require('@tensorflow/tfjs-node-gpu');
  await tf.setBackend('tensorflow');
  const backend = tf.backend() as unknown as TensorFlowBackend;
  buildByTurns(backend, loadDevicePin());
  registerTensorFlowKernels(backend, device.startsWith('/device:CPU'));
  return backend.binding.TF_Version;
}

interface LegacyUtil {
  isNullOrUndefined?: (value: unknown) => boolean;
}

/** tfjs-node-gpu calls `util.isNullOrUndefined`, which Node 23 removed. */
export function restoreIsNullOrUndefined(util: LegacyUtil): void {
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
}

function registerTensorFlowKernels(backend: TensorFlowBackend, onCpu: boolean): void {
  const there = tf.getKernel(RELU_GRADIENT, 'tensorflow') as tf.KernelConfig | undefined;
  if (there !== undefined) return;
  if (onCpu) registerWorkspaceMaxPool(backend);
  keepNaNInMaxPool('tensorflow');
  tf.registerKernel({
    kernelName: RELU_GRADIENT,
    backendName: 'tensorflow',
    kernelFunc: ({ inputs, backend }) => {
      const tensorflow = backend as TensorFlowBackend;
      const { binding } = tensorflow;
      const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
      return tensorflow.executeSingleOutput('ReluGrad', [type], [inputs['dy']!, inputs['y']!]);
    },
  });
}
