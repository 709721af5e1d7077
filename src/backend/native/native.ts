/** Registers the backend `native` with tfjs. */
import * as tf from '@tensorflow/tfjs';
import { NativeBackend } from './native_backend.js';

export const NATIVE = 'native';

/** Makes `native` one of the calling thread's backends; `tf.setBackend` chooses it. */
export function registerNative(): void {
  if (tf.findBackendFactory(NATIVE) !== null) return;
  for (const kernel of tf.getKernelsForBackend('cpu')) {
    tf.registerKernel({ ...kernel, backendName: NATIVE });
  }
  tf.registerBackend(NATIVE, () => new NativeBackend());
}
