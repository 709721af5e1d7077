import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativeIsPrepared } from '../../src/backend/native/addon.js';
import { renderPasses } from '../../src/commands/plan.js';
import { planAlgorithms } from '../../src/library/algorithms.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';

test(
  'every convolution has its passes, the first without a gradient by the image',
  { skip },
  () => {
    const passes = planAlgorithms({ preset: 'cifar10-seed', batch: 128 }, 'float32');
    assert.deepEqual(
      passes.slice(0, 5).map(({ layer, pass }) => `${layer} ${pass}`),
      ['conv1 forward', 'conv1 filter', 'conv2 forward', 'conv2 input', 'conv2 filter'],
    );
  },
);

test('conv2 of the dense network goes through the frequency domain', { skip }, () => {
  const passes = planAlgorithms({ preset: 'cifar10-seed', batch: 128 }, 'float32');
  const conv2 = passes.filter(({ layer }) => layer === 'conv2');
  assert.deepEqual(
    conv2.map(({ algorithm }) => algorithm),
    ['fft', 'fft', 'fft'],
  );
});

test('a direct convolution needs two operations for each product', { skip }, () => {
  const [forward] = planAlgorithms({ preset: 'cifar10-quick', towers: 1, batch: 10 }, 'float32');
  assert.equal(forward!.algorithm, 'direct');
  assert.equal(forward!.operations, 2 * 10 * 32 * 32 * 32 * 3 * 3 * 3);
});

test('the passes are printed as a table', () => {
  const text = renderPasses(
    [{ layer: 'conv2', pass: 'input', algorithm: 'fft', operations: 12.6e9 }],
    80,
  );
  assert.match(text, /conv2\s+by the input\s+fft\s+12\.6/);
});
