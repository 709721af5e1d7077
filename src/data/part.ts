/** Parts of a set of examples: some of each class, drawn from the seed. */
import { deriveKey, permutation } from '../random.js';

/** What a set has if it is a part of a larger one. */
export interface Part {
  count: number;
  /** uint32 [count], ascending: the examples of the larger set; undefined for a whole set. */
  chosen?: Uint32Array;
}

/** An example's index in the files, records or shards of its set. */
export function placeOf({ chosen }: Pick<Part, 'chosen'>, index: number): number {
  return chosen === undefined ? index : chosen[index]!;
}

/**
 * Divides a set into two, class by class, so that each class has the same share in both.
 *
 * @param labelOf the label of an example of the set
 * @param share of each class for the second part, 0 to 1; a class of two or more examples has one in each part
 */
export function divided<Set extends Part>(
  set: Set,
  labelOf: (index: number) => number,
  share: number,
  seed: number,
): [first: Set, second: Set] {
  const classes = new Map<number, number[]>();
  for (let index = 0; index < set.count; index++) {
    const label = labelOf(index);
    const members = classes.get(label);
    if (members === undefined) classes.set(label, [index]);
    else members.push(index);
  }
  const isSecond = new Uint8Array(set.count);
  for (const [label, members] of classes) {
    const most = Math.max(members.length - 1, 0);
    const wanted = Math.round(share * members.length);
    const taken = Math.min(most, Math.max(wanted, members.length > 1 && share > 0 ? 1 : 0));
    const order = permutation(deriveKey(seed, 'split', label), members.length);
    for (const at of order.subarray(0, taken)) isSecond[members[at]!] = 1;
  }
  const part = (which: number): Set => {
    const indices = Array.from(isSecond.keys()).filter((index) => isSecond[index] === which);
    const chosen = new Uint32Array(new SharedArrayBuffer(4 * indices.length));
    indices.forEach((index, at) => (chosen[at] = placeOf(set, index)));
    return { ...set, chosen, count: chosen.length };
  };
  return [part(0), part(1)];
}

/** At most `limit` of `count` examples, drawn from the seed: their indices, ascending. */
export function sampled(count: number, limit: number, seed: number): Uint32Array {
  return limit < count
    ? permutation(deriveKey(seed, 'test sample'), count).subarray(0, limit).sort()
    : Uint32Array.from({ length: count }, (_, index) => index);
}
