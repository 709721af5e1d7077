import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { evaluate, loadRun, RunEvents, train, trainSeeds } from 'twotower';
import { newFolder, start, succeeds, TINY, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const tiny = { config: TINY, data, cpu: 1, towers: 2, steps: 3, testLimit: 16 };
const at = (...path: string[]): string => join(folder, ...path);

/** The bytes of the parameters after so many steps. */
function parametersOf(run: string, step = 3): Buffer {
  return readFileSync(join(run, 'checkpoints', `step-${step}`, 'model.safetensors'));
}

const seedOf = (run: string): number => loadRun(run).configuration.training.seed;

suite('runs of three seeds, stopped in the second one', () => {
  const out = at('three');
  let finishedAt: number;

  before(async () => {
    const controller = new AbortController();
    const events = new RunEvents();
    events.on('start', ({ configuration }) => {
      if (configuration.training.seed === 4) events.once('step', () => controller.abort());
    });
    const { signal } = controller;
    const stopped = await trainSeeds({ ...tiny, seeds: [9, 4, 7], out, events, signal });
    assert.deepEqual(
      [stopped.status, ...stopped.runs.map(({ status }) => status)],
      ['interrupted', 'completed', 'interrupted'],
    );
    assert.deepEqual(readdirSync(out).sort(), ['seed-4', 'seed-9', 'seeds.json']);
    finishedAt = statSync(at('three', 'seed-9', 'summary.json')).mtimeMs;
    const resumed = await trainSeeds({ resume: out, cpu: 1, testLimit: 16 });
    assert.equal(resumed.status, 'completed');
    assert.deepEqual(
      resumed.runs.map(({ path }) => path),
      [9, 4, 7].map((seed) => join(out, `seed-${seed}`)),
    );
  });

  test('are each a run of that seed alone, to the bit, also the one that was stopped', async () => {
    for (const seed of [9, 4]) {
      const alone = at(`alone-${seed}`);
      await train({ ...tiny, seed, out: alone });
      assert.ok(
        parametersOf(alone).equals(parametersOf(join(out, `seed-${seed}`))),
        `seed ${seed}`,
      );
    }
  });

  test('leave a complete run as it is when they are resumed', () => {
    assert.equal(statSync(at('three', 'seed-9', 'summary.json')).mtimeMs, finishedAt);
  });

  test('have the recipe of the first one if they begin after resuming, whatever the devices', () => {
    const [first, last] = [9, 7].map((seed) => loadRun(join(out, `seed-${seed}`)).configuration);
    assert.deepEqual(last, { ...first, training: { ...first!.training, seed: 7 } });
  });

  test('are averaged by evaluate, which takes their folder for them', async () => {
    const { runs } = await evaluate(out, { cpu: 1, testLimit: 8 });
    assert.deepEqual(
      runs.map(({ path }) => path),
      [9, 4, 7].map((seed) => join(out, `seed-${seed}`)),
    );
  });
});

test('a run that fails does not keep the next seed from being trained, and is resumed', async () => {
  const out = at('failing');
  const events = new RunEvents();
  const warnings: string[] = [];
  events.on('warning', (message) => warnings.push(message));
  let path = '';
  events.on('start', (run) => (path = run.path));
  events.on('step', () => {
    if (path.endsWith('seed-1')) throw new Error('a listener failed');
  });
  await assert.rejects(trainSeeds({ ...tiny, steps: 1, seeds: [1, 2], out, events }), {
    message: `1 of 2 runs failed, seed 1: continue with --resume ${out}`,
  });
  assert.match(warnings.join(), /seed 1 failed: a listener failed.*; training goes on with seed 2/);
  assert.equal(loadRun(join(out, 'seed-2')).summary!.status, 'completed');
  const { runs } = await trainSeeds({ resume: out, cpu: 1 });
  assert.deepEqual(
    runs.map(({ status }) => status),
    ['completed', 'completed'],
  );
});

test('what is refused before a run begins leaves no folder', async () => {
  const out = at('refused');
  await assert.rejects(trainSeeds({ ...tiny, batch: 1000, seeds: [1, 2], out }), /batch of 1000/);
  assert.ok(!existsSync(out));
});

test('seeds that do not differ are refused', async () => {
  await assert.rejects(trainSeeds({ ...tiny, seeds: [1, 2, 1], out: at('same') }), {
    message: '--seeds takes numbers that differ; it is "1,2,1"',
  });
});

test('--set training.seed does not give all runs one seed', async () => {
  const out = at('set');
  await trainSeeds({ ...tiny, steps: 1, seeds: [1, 2], settings: ['training.seed=5'], out });
  assert.deepEqual(
    [1, 2].map((seed) => seedOf(join(out, `seed-${seed}`))),
    [1, 2],
  );
});

test('Ctrl-C ends the whole, and the command that it prints continues it to a table', async () => {
  const out = at('command');
  const options = ['--cpu', '1', '--towers', '2', '--log-every', '1', '--out', out];
  const recipe = ['--config', TINY, '--data', data, '--epochs', '1', '--seeds', '1,2'];
  const { code, stdout } = await start(['train', ...recipe, ...options], {
    whenPrinted: (line, process) => {
      if (/^epoch 1\/1 {2}batch {2}2\//.test(line)) process.kill('SIGINT');
    },
  }).outcome;
  assert.equal(code, 130);
  assert.match(stdout, /\ninterrupted; continue with: twotower train --resume \S*command --cpu 1/);
  const resumed = await succeeds(['train', '--resume', out, '--cpu', '1', '--test-limit', '16']);
  const rows =
    /command\/seed-1 .*%.*\n.*command\/seed-2 .*%.*\nmean, n = 2 .*%.*\nstandard deviation .*%/;
  assert.match(resumed.stdout, rows);
  await succeeds(['report', out]);
  const page = readFileSync(join(out, 'report.html'), 'utf8').replace(/(\s|<[^>]*>)+/g, ' ');
  assert.match(page, /2 complete runs that differ by their seed alone.* test top-1 \S+ % \S+ % 2 /);
});
