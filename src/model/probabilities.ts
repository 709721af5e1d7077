/**
 * What logits say of one image, in float64: probabilities, and the loss of a label. Called by the test, the
 * inspection of single images and the check of gradients, whose finite differences need the digits.
 */

/** @param logits of one image, `[classes]` */
export function softmax(logits: Float32Array): number[] {
  const largest = largestOf(logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

/** Minus the logarithm of the label's probability, nats. */
export function crossEntropyOf(logits: Float32Array, label: number): number {
  const largest = largestOf(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum) - logits[label]!;
}

/** The part of image `index` of values `[count, …]`; a view. */
export function rowOf(values: Float32Array, index: number, count: number): Float32Array {
  const length = values.length / count;
  return values.subarray(index * length, (index + 1) * length);
}

function largestOf(logits: Float32Array): number {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  return largest;
}
