import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { pack, unpack } from 'msgpackr';
import { readState, stateBytes } from '../../src/runs/checkpoint_state.js';
import { stateAt } from './some_run.js';
import { temporaryFolder } from './temporary.js';

function fileOf(context: TestContext, bytes: Uint8Array): string {
  const file = join(temporaryFolder(context), 'state.msgpack');
  writeFileSync(file, bytes);
  return file;
}

suite('the state of a checkpoint', () => {
  test('comes back as it was written, with the length of the metrics', (context) => {
    const state = stateAt(7, {
      isTested: true,
      skipped: 2,
      best: { step: 3, top1: 0.1 + 0.2 },
      plateau: { drops: 1, best: 0.25, waited: 2 },
    });
    const { metricsBytes, version, versions, ...read } = readState(
      fileOf(context, stateBytes(state, 1234)),
    );
    assert.deepEqual(read, state);
    assert.deepEqual([metricsBytes, version], [1234, 2]);
    assert.deepEqual(versions, { node: process.versions.node });
  });

  test('may be of parameters that were imported', (context) => {
    const state = { ...stateAt(0), classes: null, trainingImages: null, precision: null };
    const { classes } = readState(fileOf(context, stateBytes(state, 0)));
    assert.equal(classes, null);
  });

  test('may be of version 0.2, without the algorithms of convolutions', (context) => {
    const { algorithms, ...state } = stateAt(1);
    assert.notEqual(algorithms, undefined);
    const read = readState(fileOf(context, stateBytes(state, 0)));
    assert.equal(read.algorithms, undefined);
  });

  test('may have a thousand class names', (context) => {
    const classes = Array.from({ length: 1000 }, (_, index) => `a class of number ${index}`);
    const read = readState(fileOf(context, stateBytes({ ...stateAt(1), classes }, 0)));
    assert.deepEqual(read.classes, classes);
  });
});

suite('a state is refused', () => {
  const fields = unpack(stateBytes(stateAt(1), 0)) as Record<string, unknown>;
  const { progress } = stateAt(1);
  const refused: [string, Uint8Array, RegExp][] = [
    [
      'of version 1',
      pack({ ...fields, version: 1 }),
      /has version 1; this program reads version 2/,
    ],
    ['of a later version', pack({ ...fields, version: 3 }), /has version 3/],
    ['that is cut off', stateBytes(stateAt(1), 0).subarray(0, 20), /is malformed/],
    ['that is no object', pack('step 1'), /is malformed/],
    ['without progress', pack({ ...fields, progress: undefined }), /no valid progress/],
    [
      'with a negative step',
      pack({ ...fields, progress: { ...progress, step: -1 } }),
      /no valid progress/,
    ],
    [
      'with a test that is not finite',
      pack({
        ...fields,
        progress: { ...progress, lastTest: { step: 1, loss: NaN, top1: 0, top5: 0 } },
      }),
      /no valid progress/,
    ],
    ['without metricsBytes', pack({ ...fields, metricsBytes: undefined }), /no valid metricsBytes/],
    ['with classes that are no names', pack({ ...fields, classes: [1] }), /no valid classes/],
    [
      'with an algorithm that is none',
      pack({
        ...fields,
        algorithms: [{ layer: 'conv1', pass: 'forward', algorithm: 'guess', transformSize: 0 }],
      }),
      /no valid algorithms/,
    ],
    ['with a precision that is none', pack({ ...fields, precision: 'fp8' }), /no valid precision/],
  ];
  for (const [what, bytes, problem] of refused) {
    test(what, (context) => {
      const file = fileOf(context, bytes);
      assert.throws(
        () => readState(file),
        (error: Error) =>
          error.name === 'UserError' &&
          error.message.startsWith(file) &&
          problem.test(error.message),
      );
    });
  }
});
