/**
 * First in the bundle of `scripts/conformance.mjs`, before the specs are declared. Some specs want a
 * backend named `cpu`, so unless that backend itself is to be tested, `native` takes its name.
 */
import * as tf from '@tensorflow/tfjs-core';
import { setTestEnvs } from '@tensorflow/tfjs-core/dist/jasmine_util.js';
import { NATIVE, registerNative } from '../../../src/backend/native/native.js';

const tested = process.env['TWOTOWER_CONFORMANCE_BACKEND']!;
if (tested === NATIVE) {
  registerNative(1);
  for (const { kernelName } of tf.getKernelsForBackend('cpu'))
    tf.unregisterKernel(kernelName, 'cpu');
  tf.copyRegisteredKernels(NATIVE, 'cpu');
  const factory = tf.findBackendFactory(NATIVE);
  tf.removeBackend('cpu');
  tf.registerBackend('cpu', factory);
}
setTestEnvs([{ name: tested, backendName: 'cpu', isDataSync: true }]);
