/** How values leave a tensor for a shared buffer: without tfjs's copy where the backend allows that. */
import * as tf from '@tensorflow/tfjs';
import { NativeBackend } from './native/native_backend.js';

/**
 * A float32 tensor's values to be read at once, before the tensor is disposed: on the native backend
 * where they lie, else a copy.
 */
export function valuesOf(tensor: tf.Tensor): Float32Array {
  const backend = tf.backend();
  const inPlace = backend instanceof NativeBackend ? backend.float32(tensor) : undefined;
  return inPlace ?? tensor.dataSync<'float32'>();
}
