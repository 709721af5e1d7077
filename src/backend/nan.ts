/**
 * Makes backends keep NaN where their own kernels drop it, so that a network that has diverged cannot look sound.
 *
 * Max pooling compares, and a comparison with NaN is false: on TensorFlow and WebAssembly NaN in a window is
 * skipped. WebAssembly's matrix product clamps for its fused ReLU, which turns NaN into 0.
 */
import * as tf from '@tensorflow/tfjs-core';

/** Wraps max pooling on this thread's backend: NaN or infinity in an image makes all of its output NaN. */
export function keepNaNInMaxPool(backendName: string): void {
  wrapKernel(backendName, tf.MaxPool, (call, own) =>
    tf.tidy(() => {
      const x = call.inputs['x'] as tf.Tensor4D;
      const pooled = tf.engine().makeTensorFromTensorInfo(own(call) as tf.TensorInfo);
      // 0 · x is 0 unless x is NaN or infinite; then it is NaN, and so is the sum.
      return tf.add(pooled, tf.mul(tf.sum(x, [1, 2, 3], true), 0));
    }),
  );
}

/** Wraps matrix products with a fused ReLU on this thread's backend: ReLU becomes a kernel of its own. */
export function keepNaNInFusedProducts(backendName: string): void {
  wrapKernel(backendName, tf._FusedMatMul, (call, own) => {
    if (call.attrs?.['activation'] !== 'relu') return own(call);
    return tf.tidy(() => {
      const linear = own({ ...call, attrs: { ...call.attrs, activation: 'linear' } });
      return tf.relu(tf.engine().makeTensorFromTensorInfo(linear as tf.TensorInfo));
    });
  });
}

type KernelCall = Parameters<tf.KernelFunc>[0];

function wrapKernel(
  backendName: string,
  kernelName: string,
  compute: (call: KernelCall, own: tf.KernelFunc) => ReturnType<tf.KernelFunc>,
): void {
  const kernel = tf.getKernel(kernelName, backendName);
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({ ...kernel, kernelFunc: (call) => compute(call, kernel.kernelFunc) });
}
