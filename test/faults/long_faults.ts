/**
 * `npm run test:faults`: the promises of docs/reliability.md at every point and many times over, which takes
 * about six minutes on two cores. Prints the faults injected and their counts.
 *
 * `TWOTOWER_TEST_SEED` decides when processes are killed; 1 unless given.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, mock, suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { train } from '../../src/index.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import type { FaultKind, FaultPoint } from './inject.js';
import { Workbench, errorLine } from './faulty_run.js';

const KILLS = 50;
const SEED = Number(process.env['TWOTOWER_TEST_SEED'] ?? 1);

const bench = new Workbench();
after(() => rmSync(bench.folder, { recursive: true }));

/** Milliseconds that an undisturbed run takes; what the kills are spread over. */
let lifetime = 0;

const counts = new Map<string, number>();
const injected = (fault: string): void => {
  counts.set(fault, (counts.get(fault) ?? 0) + 1);
};
after(() => {
  for (const [fault, count] of counts) console.log(`injected ${count} × ${fault}`);
});

before(async () => {
  const started = performance.now();
  const { code, stderr } = await bench.start('straight').outcome;
  assert.equal(code, 0, stderr);
  lifetime = performance.now() - started;
});

const POINTS: FaultPoint[] = [
  'before the exchange',
  'inside the exchange',
  'after the exchange',
  'backward',
  'update',
  'checkpoint',
];
const DEATHS: FaultKind[] = ['throw', 'exit', 'out of memory'];

suite('a worker that dies at any point of a step is started again to the same end', () => {
  for (const point of POINTS) {
    for (const kind of DEATHS) {
      test(`${kind}, ${point}`, async (context: TestContext) => {
        const name = `${kind} ${point}`;
        const fault = { rank: 1, step: 15, kind, point, once: true };
        const outcome = await bench.start(name, ['--restarts', '1'], fault).outcome;
        assert.equal(outcome.code, 0, outcome.stderr);
        injected(`${kind} of a worker`);
        bench.assertSameEnd(name, 'straight');
        const stopping = bench.stoppingMs(name);
        // Where the other rank has nothing to wait for, as in an update, it does not stop waiting.
        if (Number.isNaN(stopping)) return;
        context.diagnostic(`the other rank stopped waiting after ${stopping} ms`);
        // Before it ends, a thread without memory collects garbage for a while.
        if (kind !== 'out of memory') assert.ok(stopping < 1000, `${stopping} ms`);
      });
    }
  }
});

suite('a worker that hangs at any point of a step is named', () => {
  for (const point of POINTS) {
    for (const kind of ['loop', 'native hang'] as const) {
      test(`${kind}, ${point}`, async () => {
        const name = `${kind} ${point}`;
        const fault = { rank: 1, step: 15, kind, point };
        const outcome = await bench.start(name, ['--exchange-timeout', '1'], fault).outcome;
        assert.equal(outcome.code, 1, outcome.stderr);
        injected(`${kind} in a worker`);
        assert.match(errorLine(outcome), /rank 1 on cpu has not moved on for 1 s .*step 15/);
        assert.deepEqual(bench.wholeCheckpoints(name), [5, 10]);
      });
    }
  }
});

test(`killed −9 at ${KILLS} random moments, runs end as an undisturbed one`, async (context) => {
  const random = new RandomSequence(deriveKey(SEED, 'kills'));
  let [kills, ended] = [0, 0];
  while (kills < KILLS || existsSync(bench.run(`killed ${ended}`))) {
    const name = `killed ${ended}`;
    const resume = bench.wholeCheckpoints(name).length > 0;
    // As --resume says where there is no checkpoint yet.
    if (!resume) rmSync(bench.run(name), { recursive: true, force: true });
    const running = bench.start(name, [], null, { resume });
    if (kills < KILLS) {
      await Promise.race([running.outcome, delay(lifetime * random.uniform())]);
      running.process.kill('SIGKILL');
    }
    const { code, signal, stderr } = await running.outcome;
    if (signal === 'SIGKILL') {
      kills++;
      injected('SIGKILL of the process');
      continue;
    }
    assert.equal(code, 0, stderr);
    bench.assertSameEnd(name, 'straight');
    ended++;
  }
  context.diagnostic(`${ended} runs reached their end, each with the undisturbed parameters`);
});

suite('3,000 steps of the demo, split', () => {
  const path = join(bench.folder, 'demo');
  const held: {
    step: number;
    resident: number;
    files: number;
    threads: number;
    /** Of each worker. */
    tensors: { tensors: number; bytes: number }[];
  }[] = [];
  const entries = (folder: string): number => (existsSync(folder) ? readdirSync(folder).length : 0);

  before(async () => {
    const { value: takeStep } = Object.getOwnPropertyDescriptor(Coordinator.prototype, 'step') as {
      value: (this: Coordinator, ...parameters: Parameters<Coordinator['step']>) => Promise<object>;
    };
    mock.method(
      Coordinator.prototype,
      'step',
      async function (this: Coordinator, ...parameters: Parameters<Coordinator['step']>) {
        const result = await takeStep.apply(this, parameters);
        const [step] = parameters;
        if (step % 100 === 50) {
          const memory = await this.memory();
          held.push({
            step,
            resident: process.memoryUsage.rss(),
            files: entries('/proc/self/fd'),
            threads: entries('/proc/self/task'),
            tensors: memory.map(({ tensors, bytes }) => ({ tensors, bytes })),
          });
        }
        return result;
      },
    );
    await train({ preset: 'demo', cpu: 2, epochs: 100, steps: 3000, out: path });
  });
  after(() => mock.restoreAll());

  test('memory, tensors, open files and threads stay', (context) => {
    const [middle, last] = [held[held.length / 2]!, held.at(-1)!];
    context.diagnostic(`${JSON.stringify(middle)} … ${JSON.stringify(last)}`);
    assert.equal(last.files, middle.files);
    assert.equal(last.threads, middle.threads);
    assert.deepEqual(last.tensors, middle.tensors);
    // What V8 leaves uncollected at one moment and at another.
    assert.ok(last.resident < 1.1 * middle.resident);
  });

  test('metrics and checkpoints are bounded by what they record', () => {
    const run = openRunFolder(path);
    const events = readMetrics(run);
    assert.equal(events.filter(({ event }) => event === 'train').length, 3000);
    const { size } = statSync(run.metricsFile);
    assert.ok(size < 500 * events.length, `${size} bytes of ${events.length} events`);
    assert.ok(readdirSync(run.checkpoints).length <= 4);
    assert.ok(readFileSync(run.summaryFile, 'utf8').length < 4000);
  });
});
