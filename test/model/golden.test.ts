import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BACKEND_NAMES, prepareProcess, whyMissing } from '../../src/backend/backend.js';
import { compareWithGolden, GOLDEN_NAMES, TOLERANCE } from './golden_comparison.js';

prepareProcess();
/** On the CPU, or on GPU 0 if a test that imports this one says so. */
const device = process.env['TWOTOWER_TESTED_GPU'] === undefined ? 'cpu' : 'gpu:0';
const prepared = (device === 'cpu' ? BACKEND_NAMES : (['native'] as const)).filter(
  (backend) => whyMissing(backend) === null,
);

for (const backend of prepared) {
  for (const name of GOLDEN_NAMES) {
    test(`on ${backend} the ${name} network's logits, loss and gradients are PyTorch's`, async () => {
      const errors = await compareWithGolden(name, { backend, device, threads: 1 });
      for (const { what, relative } of errors) {
        assert.ok(relative <= TOLERANCE, `${what}: off by ${relative}`);
      }
    });
  }
}
