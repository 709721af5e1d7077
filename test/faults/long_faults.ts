/**
 * `npm run test:faults`: the promises of docs/reliability.md at every point and many times over, which takes
 * about fifteen minutes on two cores. Prints the faults injected and their counts.
 *
 * `TWOTOWER_TEST_SEED` decides when processes are killed; 1 unless given.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, mock, suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RunEvents, train } from '../../src/index.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import type { FaultKind, FaultPoint } from './inject.js';
import { prepareDataset } from '../../src/data/prepare.js';
import { TINY, type RunningCommand } from '../commands/command_line.js';
import { writeImageFolder } from '../data/image_folders.js';
import { LAST_STEP, Workbench, errorLine } from './faulty_run.js';

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
        assert.match(errorLine(outcome), /rank 1 on cpu has made no progress for 1 s .*step 15/);
        assert.deepEqual(bench.wholeCheckpoints(name), [5, 10]);
      });
    }
  }
});

for (const [how, kills, saving] of [
  ['every five steps', 50, undefined],
  ['every 0.3 seconds', 200, ['--checkpoint-minutes', '0.005']],
] as const) {
  test(`killed −9 at ${kills} random moments, with checkpoints ${how}, runs end as an undisturbed one`, async (context) => {
    const random = new RandomSequence(deriveKey(SEED, `kills with checkpoints ${how}`));
    let killed = 0;
    let ended = 0;
    const nameOf = (number: number) => `killed ${how} ${number}`;
    while (killed < kills || existsSync(bench.run(nameOf(ended)))) {
      const name = nameOf(ended);
      const resume = bench.wholeCheckpoints(name).length > 0;
      // As --resume says if there is no checkpoint yet.
      if (!resume) rmSync(bench.run(name), { recursive: true, force: true });
      const settings = { resume, ...(saving && { saving: [...saving] }) };
      const running = bench.start(name, [], null, settings);
      if (killed < kills) {
        await Promise.race([running.outcome, delay(lifetime * random.uniform())]);
        running.process.kill('SIGKILL');
      }
      const { code, signal, stderr } = await running.outcome;
      if (signal === 'SIGKILL') {
        killed++;
        injected('SIGKILL of the process');
        // The kill may have come after the run had written that it is complete.
        if (!existsSync(join(bench.run(name), 'summary.json'))) continue;
      } else {
        assert.equal(code, 0, stderr);
      }
      bench.assertSameEnd(name, 'straight');
      ended++;
    }
    context.diagnostic(`${ended} runs reached their end, each with the undisturbed parameters`);
  });
}

suite('a signal at random moments, from the first line of output on', () => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGXCPU', 152],
    ['SIGUSR1', 0],
    ['SIGUSR2', 0],
  ] as const) {
    test(`${signal}: the run saves, ends with ${code} and resumes to the undisturbed end`, async () => {
      const random = new RandomSequence(deriveKey(SEED, signal));
      for (let turn = 0; turn < 5; turn++) {
        const name = `${signal} ${turn}`;
        const line = Math.floor(LAST_STEP * random.uniform());
        let lines = 0;
        const outcome = await bench.start(name, [], null, {
          whenPrinted: (_, process) => {
            if (lines++ === line) process.kill(signal);
          },
        }).outcome;
        injected(signal);
        // A signal near the end may find the run complete.
        assert.ok(outcome.code === code || outcome.code === 0, outcome.stderr);
        if (outcome.code !== 0) {
          const resumed = await bench.start(name, [], null, { resume: true }).outcome;
          assert.equal(resumed.code, 0, resumed.stderr);
        }
        bench.assertSameEnd(name, 'straight');
      }
    });
  }
});

suite(
  'a listener that throws at any event leaves a run that resumes to the undisturbed end',
  () => {
    for (const event of ['start', 'step', 'testing', 'test', 'checkpoint'] as const) {
      test(event, async () => {
        const random = new RandomSequence(deriveKey(SEED, event));
        for (let turn = 0; turn < 4; turn++) {
          const name = `listener ${event} ${turn}`;
          const events = new RunEvents();
          let left = event === 'step' ? Math.floor(LAST_STEP * random.uniform()) : turn % 2;
          events.on(event, () => {
            if (left-- === 0) throw new Error('a listener failed');
          });
          const out = bench.run(name);
          const tiny = { config: TINY, data: bench.data, cpu: 2, checkpointEvery: 5 };
          const outcome = await train({ ...tiny, out, events }).catch((error: unknown) => error);
          injected('listener that throws');
          if (outcome instanceof Error) {
            assert.match(outcome.message, /^a listener failed; the last checkpoint is /);
            await train({ resume: out, cpu: 2, checkpointEvery: 5 });
          }
          bench.assertSameEnd(name, 'straight');
        }
      });
    }
  },
);

test('a decoder that hangs ends the run, which is saved and names the file', async () => {
  const images = join(bench.folder, 'images');
  await writeImageFolder(images, 32, 8);
  const prepared = join(bench.folder, 'prepared');
  await prepareDataset({ source: images, destination: prepared, undecodableLimit: 0 });
  const shard = join(
    prepared,
    readdirSync(prepared).find((name) => name.startsWith('train'))!,
  );
  const out = bench.run('stalled');
  const events = new RunEvents();
  events.on('start', () => {
    // Opening a pipe that nobody writes to blocks, as reading from a network drive that is gone does.
    rmSync(shard);
    execFileSync('mkfifo', [shard]);
  });
  const error = await train({
    config: TINY,
    data: prepared,
    cpu: 1,
    towers: 2,
    exchangeTimeoutMs: 1000,
    out,
    events,
  }).catch((failure: unknown) => failure);
  // Lets the thread go, which cannot be ended while it waits in the kernel.
  closeSync(openSync(shard, constants.O_RDWR));
  injected('decoder that hangs');
  assert.ok(error instanceof Error);
  assert.match(
    error.message,
    /^decoder 0 has worked on .* for 1 s.*; the last checkpoint is .*step-0: /,
  );
  assert.ok(error.message.includes(shard), error.message);
});

test('two containers of one host name do not share a run; one that was killed is taken over', async (context) => {
  const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  if (spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status !== 0) {
    return context.skip('no PID namespace can be made here');
  }
  const fault = { rank: 1, step: 13, kind: 'native hang', point: 'update' } as const;
  let first: RunningCommand | undefined;
  const hasBegun = new Promise<void>((resolve) => {
    first = bench.start('containers', [], fault, {
      before: unshare,
      whenPrinted: (line) => {
        if (line.startsWith('epoch 1/2  batch 12/16')) resolve();
      },
    });
  });
  await hasBegun;
  const refused = await bench.start('containers', [], null, { resume: true }).outcome;
  assert.match(errorLine(refused), /trains in .*containers/);
  first!.process.kill('SIGKILL');
  await first!.outcome;
  injected('SIGKILL of a container');
  // The other container's process cannot be looked up, so its lock is stale after a minute.
  for (let attempt = 0; ; attempt++) {
    const { code, stderr } = await bench.start('containers', [], null, { resume: true }).outcome;
    if (code !== 0 && attempt < 30) {
      await delay(3000);
      continue;
    }
    assert.equal(code, 0, stderr);
    assert.match(stderr, /warning: .*containers/);
    break;
  }
  bench.assertSameEnd('containers', 'straight');
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

test("20 checkpoints of cifar10-seed's network leave resident memory within 5 %", async (context) => {
  const resident: number[] = [];
  const events = new RunEvents();
  events.on('checkpoint', () => resident.push(process.memoryUsage.rss()));
  await train({
    preset: 'cifar10-seed',
    overrides: { data: { source: 'random', directory: null } },
    batch: 2,
    steps: 20,
    testLimit: 2,
    checkpointEvery: 1,
    cpu: 1,
    out: join(bench.folder, 'seed'),
    events,
  });
  context.diagnostic(resident.map((bytes) => `${Math.round(bytes / 1e6)} MB`).join(', '));
  assert.equal(resident.length, 20);
  // V8's own heaps grow to their final size during the first checkpoints.
  const [early, late] = [resident.slice(5, 10), resident.slice(-5)];
  assert.ok(Math.max(...late) <= 1.05 * Math.max(...early));
});
