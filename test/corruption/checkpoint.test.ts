import assert from 'node:assert/strict';
import { readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { fillNormal } from '../../src/random.js';
import { verifyIfSummed } from '../../src/checksums.js';
import { chooseCheckpoint, lastWholeCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { writeCheckpoint } from '../../src/runs/checkpoint_writer.js';
import type { RunFolder } from '../../src/runs/layout.js';
import type { TensorMap } from '../../src/runs/safetensors.js';
import { requestAt, someRun } from '../runs/some_run.js';
import { temporaryFolder } from '../runs/temporary.js';
import { MUTATIONS, mutationsOf, refusalOf } from './mutations.js';

const FILES = ['model.safetensors', 'optimizer.safetensors', 'state.msgpack', 'checksums.json'];

function tensorsOf(step: number, part: number): TensorMap {
  const data = new Float32Array(400);
  fillNormal([step, part], 0, 1, data);
  return new Map([
    ['conv1.weight', { shape: [16, 24], data: data.subarray(0, 384) }],
    ['conv1.bias', { shape: [16], data: data.subarray(384) }],
  ]);
}

/** A run with whole checkpoints of steps 5 and 10. */
function runWithTwo(context: TestContext): { run: RunFolder; paths: [string, string] } {
  const run = someRun(context);
  const [earlier, later] = [5, 10].map((step) =>
    writeCheckpoint({
      ...requestAt(run, step),
      tensors: { model: tensorsOf(step, 1), optimizer: tensorsOf(step, 2) },
    }),
  );
  return { run, paths: [earlier!, later!] };
}

suite('a damaged checkpoint', () => {
  for (const name of FILES) {
    test(`is refused, and the one before it found, after any of ${MUTATIONS} mutations of its ${name}`, (context) => {
      const { run, paths } = runWithTwo(context);
      const [earlier, later] = paths;
      const file = join(later, name);
      for (const mutation of mutationsOf(readFileSync(file), readFileSync(join(earlier, name)))) {
        writeFileSync(file, mutation.bytes);
        const refusal = refusalOf(() => chooseCheckpoint(run), mutation.name);
        // Checksums that are damaged may speak against any file of the checkpoint.
        const named = name === 'checksums.json' ? FILES : [name];
        assert.ok(
          named.some((candidate) => refusal?.includes(join(later, candidate))),
          `${mutation.name}: ${refusal}`,
        );
        const { checkpoint, damaged } = lastWholeCheckpoint(run);
        const { path, step } = checkpoint;
        assert.deepEqual([path, step, damaged.length], [earlier, 5, 1], mutation.name);
      }
      context.diagnostic(`${MUTATIONS} of ${MUTATIONS} mutations of ${name} refused`);
    });
  }

  test('in another step’s place is refused by its state', (context) => {
    const { run, paths } = runWithTwo(context);
    renameSync(paths[0], join(run.checkpoints, 'step-20'));
    const refusal = refusalOf(() => chooseCheckpoint(run), 'renamed');
    assert.match(refusal!, /step-20\/state\.msgpack is of step 5/);
    assert.equal(basename(lastWholeCheckpoint(run).checkpoint.path), 'step-10');
  });

  test('that has grown to a terabyte is refused by its size, unread', (context) => {
    const { run, paths } = runWithTwo(context);
    // A hole: no disk has to hold it, and reading it would take many minutes.
    truncateSync(join(paths[1], 'model.safetensors'), 2 ** 40);
    const refusal = refusalOf(() => chooseCheckpoint(run), 'grown');
    assert.match(
      refusal!,
      /model\.safetensors is damaged: it has 1099511627776 bytes, and \d+ were/,
    );
  });

  test('is refused where all are damaged, by the latest file’s name', (context) => {
    const { run, paths } = runWithTwo(context);
    for (const path of paths) truncateSync(join(path, 'state.msgpack'), 3);
    const refusal = refusalOf(() => lastWholeCheckpoint(run), 'both');
    assert.match(
      refusal!,
      /step-10\/state\.msgpack is damaged.*no earlier checkpoint.*start a new run/,
    );
  });

  test('is also refused where only its model is taken, as --init does', (context) => {
    const file = join(runWithTwo(context).paths[1], 'model.safetensors');
    assert.equal(
      refusalOf(() => verifyIfSummed(file), 'whole'),
      undefined,
    );
    const [mutation] = mutationsOf(readFileSync(file), Buffer.alloc(0), 1);
    writeFileSync(file, mutation!.bytes);
    assert.match(
      refusalOf(() => verifyIfSummed(file), 'damaged')!,
      /model\.safetensors is damaged/,
    );
  });
});

test('a model from elsewhere has no checksums and needs none', (context) => {
  const file = join(temporaryFolder(context), 'model.safetensors');
  writeFileSync(file, 'anything');
  assert.equal(
    refusalOf(() => verifyIfSummed(file), 'no checksums'),
    undefined,
  );
});
