/**
 * First in the bundle of `scripts/conformance.mjs`, before the specs are declared. Some specs want a
 * backend named `cpu`, so unless that backend itself is to be tested, the tested one takes its name.
 */
import * as tf from '@tensorflow/tfjs-core';
import { setTestEnvs } from '@tensorflow/tfjs-core/dist/jasmine_util.js';
import {
  NATIVE,
  NATIVE_CUDA,
  registerCuda,
  registerNative,
} from '../../../src/backend/native/native.js';

const tested = process.env['TWOTOWER_CONFORMANCE_BACKEND']!;
if (tested === NATIVE) registerNative(1);
if (tested === NATIVE_CUDA) registerCuda(0);
if (tested !== 'cpu') {
  for (const { kernelName } of tf.getKernelsForBackend('cpu'))
    tf.unregisterKernel(kernelName, 'cpu');
  tf.copyRegisteredKernels(tested, 'cpu');
  const factory = tf.findBackendFactory(tested);
  tf.removeBackend('cpu');
  tf.registerBackend('cpu', factory);
}
setTestEnvs([{ name: tested, backendName: 'cpu', isDataSync: true }]);
