/** Networks divided among hosts train, test, save and resume as on one host. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import { chooseCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readLastTest } from '../../src/runs/summary.js';
import { HostsWorkbench } from './hosts_workbench.js';

const STEPS = 9;
const MORE_STEPS = 12;

/** Batches of 15 do not divide evenly among two hosts. The last batch of the test has 4 images. */
const UNEVEN = ['--steps', String(STEPS), '--batch', '15', '--threads', '1'];
const FURTHER = ['--steps', String(MORE_STEPS), '--threads', '1'];

const TOWERS = ['--parallelism', 'towers', '--cpu', '1'];
const HYBRID = ['--parallelism', 'hybrid', '--cpu', '2'];

const bench = new HostsWorkbench(2);
after(() => bench.remove());

const testOf = (name: string) => readLastTest(openRunFolder(bench.run(name)))!;

function parametersOf(name: string): Buffer[] {
  const { model, optimizer } = chooseCheckpoint(openRunFolder(bench.run(name))).files;
  return [model, optimizer].map((file) => readFileSync(file));
}

async function trainOnHosts(name: string, options: string[], resume = false): Promise<void> {
  const { code, stderr } = await bench.startOnHosts(name, { options, resume }).outcome;
  assert.equal(code, 0, stderr);
}

function assertClose(name: string): void {
  const losses = bench.losses(name);
  bench.losses('one host').forEach((loss, step) => {
    if (step >= losses.length) return;
    // Sums in another order differ by a few units in the last place of float32, and steps multiply that little yet.
    const difference = Math.abs(losses[step]! - loss);
    assert.ok(difference <= 1e-5, `step ${step + 1} differs by ${difference}`);
  });
}

suite('on two hosts', { skip: whyNoMpi('openmpi') ?? false }, () => {
  before(async () => {
    const { code, stderr } = await bench.start('one host', UNEVEN).outcome;
    assert.equal(code, 0, stderr);
  });

  test('a tower on each gives the bits of one host: losses, test and checkpoint', async () => {
    await trainOnHosts('towers', [...UNEVEN, ...TOWERS]);
    assert.deepEqual(bench.losses('towers'), bench.losses('one host'));
    assert.deepEqual(testOf('towers'), testOf('one host'));
    assert.deepEqual(parametersOf('towers'), parametersOf('one host'));
  });

  test('a hybrid gives the losses and the test of one host', async () => {
    await trainOnHosts('hybrid', [...UNEVEN, ...HYBRID]);
    assert.equal(bench.losses('hybrid').length, STEPS);
    assertClose('hybrid');
    const [tested, expected] = [testOf('hybrid'), testOf('one host')];
    assert.ok(Math.abs(tested.loss - expected.loss) <= 1e-5);
    assert.deepEqual({ ...tested, loss: 0 }, { ...expected, loss: 0 });
  });

  test('a run resumes with another parallelism as on one host', async () => {
    const resumed = bench.start('one host', FURTHER, null, { resume: true });
    const { code, stderr } = await resumed.outcome;
    assert.equal(code, 0, stderr);
    await trainOnHosts('towers', [...FURTHER, ...HYBRID], true);
    await trainOnHosts('hybrid', [...FURTHER, ...TOWERS], true);
    for (const name of ['towers', 'hybrid']) {
      assert.equal(bench.losses(name).length, MORE_STEPS);
      assertClose(name);
    }
  });
});
