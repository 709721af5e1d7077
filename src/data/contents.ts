/** Tells whether hosts have the same data, each in a folder of its own. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Dataset } from './examples.js';

/**
 * A hash of the classes and, of each split, the files' names, labels, sizes and order, as far as they are in memory. The
 * images themselves are not read, and the folder that they are in does not count.
 */
export function contentsOf({
  classes,
  train,
  test,
}: Omit<Dataset, 'train'> & Partial<Dataset>): string {
  const hash = createHash('sha256');
  const add = (name: string, value: unknown): void => {
    if (value === undefined || name === 'prefix') return;
    hash.update(`${name}\0`);
    if (value instanceof SharedArrayBuffer) hash.update(new Uint8Array(value));
    else if (ArrayBuffer.isView(value)) hash.update(value as Uint8Array);
    else if (typeof value === 'object' && value !== null) {
      for (const [key, field] of Object.entries(value)) add(key, field);
    } else if (typeof value === 'string') hash.update(`${basename(value)}\0`);
    else hash.update(`${JSON.stringify(value)}\0`);
  };
  add('classes', classes);
  add('train', train);
  add('test', test);
  return hash.digest('hex');
}
