import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativeIsPrepared } from '../../src/backend/native/addon.js';
import { renderPasses } from '../../src/commands/plan.js';
import { algorithmsOfRun, planAlgorithms } from '../../src/library/algorithms.js';
import type { RunAlgorithms } from '../../src/library/algorithms.js';
import { configurationOf } from '../../src/library/recipe.js';
import type { CheckpointState, LayerAlgorithm } from '../../src/runs/checkpoint_state.js';
import { stateAt } from '../runs/some_run.js';

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

const quick = configurationOf({ preset: 'cifar10-quick' });
const native = {
  backend: 'native',
  precision: 'float32',
  placement: [{ ranks: [0], device: 'cpu', requested: 'cpu', threads: 1 }],
} satisfies Parameters<typeof algorithmsOfRun>[1];

/** A checkpoint of `cifar10-quick` that was computed so. */
function computedBy(algorithms: LayerAlgorithm[], batch = quick.training.batch): CheckpointState {
  return { ...stateAt(0), batch, algorithms };
}

const forwardOf = ({ recorded }: RunAlgorithms): LayerAlgorithm =>
  recorded!.find(({ layer, pass }) => layer === 'conv3' && pass === 'forward')!;

const large = { layer: 'conv3', pass: 'forward', algorithm: 'fft', transformSize: 36 } as const;

test(
  'a resumed run computes as its checkpoint records, and says where another is cheaper',
  { skip },
  () => {
    const fresh = algorithmsOfRun(quick, native, 1, undefined);
    assert.notDeepEqual(forwardOf(fresh), large);
    const resumed = algorithmsOfRun(quick, native, 1, computedBy([large]));
    assert.deepEqual(forwardOf(resumed), large);
    assert.deepEqual(
      resumed.kept.map(({ pass, algorithm, transformSize }) => [pass, algorithm, transformSize]),
      [['forward', 'fft', 36]],
    );
    assert.match(
      resumed.warnings.join(),
      /conv3 forward by fft 36, though \w+( \d+)? is cheaper here$/,
    );
    const same = algorithmsOfRun(quick, native, 1, computedBy(fresh.recorded!));
    assert.deepEqual(same, fresh);
  },
);

test(
  'a pass that this processor does not compute as recorded is computed by the cheapest',
  { skip },
  () => {
    const unknown = { ...large, transformSize: 31 };
    const resumed = algorithmsOfRun(quick, native, 1, computedBy([unknown]));
    const { recorded, kept } = algorithmsOfRun(quick, native, 1, undefined);
    assert.deepEqual([resumed.recorded, resumed.kept], [recorded, kept]);
    assert.match(resumed.warnings.join(), /this processor does not compute it by fft 31/);
  },
);

test('with another batch the cheapest is chosen anew', { skip }, () => {
  const resumed = algorithmsOfRun(quick, native, 1, computedBy([large], 2 * quick.training.batch));
  assert.deepEqual(resumed, algorithmsOfRun(quick, native, 1, undefined));
});

test('the passes are printed as a table', () => {
  const text = renderPasses(
    [{ layer: 'conv2', pass: 'input', algorithm: 'fft', transformSize: 30, operations: 12.6e9 }],
    80,
  );
  assert.match(text, /conv2\s+by the input\s+fft\s+12\.6/);
});
