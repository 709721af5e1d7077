/** The tape on which tfjs records the operations whose gradients it will ask for. */
import * as tf from '@tensorflow/tfjs-core';

/** Calls `note` when the gradient reaches `output`, before it goes through the operation that made it. */
export function beforeBackward(output: tf.Tensor, note: () => void): void {
  // Changes the tape itself: an operation that only calls `note` would cost each layer two copies and their bookkeeping.
  const node = tf.engine().state.activeTape?.findLast(({ outputs }) => outputs.includes(output));
  if (node?.gradient === undefined) return;
  const { gradient } = node;
  node.gradient = (gradients) => {
    note();
    return gradient(gradients);
  };
}
