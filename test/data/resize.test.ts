/** The golden hashes are Pillow's: see scripts/golden_resize.py. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BilinearResizer } from '../../src/data/resize.js';

interface Golden {
  cases: { before: [number, number]; after: [number, number]; sha256: string }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../../test/golden/resize.json', import.meta.url), 'utf8'),
) as Golden;

for (const { before, after, sha256 } of golden.cases) {
  test(`resizing ${before.join('×')} to ${after.join('×')} gives Pillow's bytes`, () => {
    const pixels = Uint8Array.from(
      { length: before[0] * before[1] * 3 },
      (_, byte) => Math.imul(byte, 2654435761) >>> 24,
    );
    const out = new Uint8Array(after[0] * after[1] * 3);
    new BilinearResizer(...before, ...after).resize(pixels, out);
    assert.equal(createHash('sha256').update(out).digest('hex'), sha256);
  });
}
