/** Probabilities and loss of one image from its logits, in float64. Finite differences need that many digits. */

/** The probability of each class. @param logits of one image, `[classes]` */
export function softmax(logits: Float32Array): number[] {
  const largest = largestOf(logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

/** Cross-entropy of the label, nats. @param logits of one image, `[classes]` */
export function crossEntropyOf(logits: Float32Array, label: number): number {
  const largest = largestOf(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum) - logits[label]!;
}

/** The values of image `index`. @param values `[count, …]` @returns a view of `values` */
export function rowOf(values: Float32Array, index: number, count: number): Float32Array {
  const length = values.length / count;
  return values.subarray(index * length, (index + 1) * length);
}

function largestOf(logits: Float32Array): number {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  return largest;
}
