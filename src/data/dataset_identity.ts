/** Tells data sets apart, so that the statistics of one are not taken for those of another. */
import { createHash } from 'node:crypto';
import type { Dataset } from './examples.js';

/** A hash of the class names and the number of training images, whatever the format of the data set. */
export function identityOf({ classes, train }: Dataset): string {
  const facts = JSON.stringify([train.count, classes.toSorted()]);
  return createHash('sha256').update(facts).digest('hex');
}
