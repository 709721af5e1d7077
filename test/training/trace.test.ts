import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { compare } from '../../src/library/compare.js';
import { loadRun } from '../../src/library/load_run.js';
import { train } from '../../src/library/train.js';
import { quantile } from '../../src/report/quantiles.js';
import type { TrainEvent } from '../../src/runs/metrics.js';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';
import { readTrace, timeWithin } from '../report/trace_reader.js';
import type { TracedSpan } from '../report/trace_reader.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

function stepsOf(path: string): TrainEvent[] {
  return loadRun(path).metrics.filter((event) => event.event === 'train');
}

suite('the trace of a demo run', () => {
  let spans: TracedSpan[];
  let steps: TracedSpan[];
  let metrics: TrainEvent[];

  before(async () => {
    // More than the workers' spans are fetched together.
    const limits = { steps: 20, testLimit: 64, cpu: 2 };
    await train({ ...limits, preset: 'demo', out: at('run'), trace: at('trace.json') });
    spans = readTrace(at('trace.json'));
    steps = spans.filter(({ track, name }) => track === 'coordinator' && /^step /.test(name));
    metrics = stepsOf(at('run'));
  });

  const ofRank = (rank: number): TracedSpan[] =>
    spans.filter(({ track }) => track === `rank ${rank}`);

  test('has a track for the coordinator, each rank and each decoder', () => {
    const tracks = new Set(spans.map(({ track }) => track));
    assert.deepEqual([...tracks].sort(), ['coordinator', 'decoder 0', 'rank 0', 'rank 1']);
    assert.deepEqual(
      steps.map(({ name }) => name),
      metrics.map(({ step }) => `step ${step}`),
    );
  });

  test('has forward, backward and update of each layer, and the exchanges by name', () => {
    const layers = loadRun(at('run')).configuration.network.layers;
    const withKernels = layers.flatMap((layer) =>
      layer.type === 'conv' || layer.type === 'fc' ? [layer] : [],
    );
    const exchanges = withKernels.filter(({ reads }, index) => index > 0 && reads === 'all');
    for (const rank of [0, 1]) {
      const names = new Set(ofRank(rank).map(({ name }) => name));
      for (const { name } of withKernels) {
        for (const part of ['forward', 'backward', 'update']) {
          assert.ok(names.has(`${part} ${name}`), `no ${part} ${name} on rank ${rank}`);
        }
      }
      for (const name of [...exchanges.map(({ name }) => name), 'logits']) {
        assert.ok(names.has(`copy ${name}`) && names.has(`wait ${name}`), `no ${name}`);
      }
    }
  });

  test('has spans that lie in each other or apart on every track, as the viewers demand', () => {
    for (const track of new Set(spans.map((span) => span.track))) {
      const own = spans.filter((span) => span.track === track);
      own.sort((a, b) => a.began - b.began || b.ended - a.ended);
      const open: TracedSpan[] = [];
      for (const span of own) {
        // Times are written to the nanosecond.
        while (open.length > 0 && open.at(-1)!.ended <= span.began + 2e-3) open.pop();
        const around = open.at(-1);
        assert.ok(
          around === undefined || span.ended <= around.ended + 2e-3,
          `${span.name} ends after ${around?.name}, in which it began, on ${track}`,
        );
        open.push(span);
      }
    }
  });

  test("adds up to the step within 5 %: each rank's parts, with its waits for the coordinator", () => {
    for (const step of steps) {
      for (const rank of [0, 1]) {
        const share = timeWithin(step, ofRank(rank)) / step.microseconds;
        assert.ok(Math.abs(share - 1) < 0.05, `rank ${rank} in ${step.name}: ${share}`);
      }
    }
  });

  test('agrees with the metrics, which are timed apart, within 5 %', () => {
    const ratios = steps.map((step, index) => {
      const { forwardMs, backwardMs, exchangeMs, updateMs } = metrics[index]!;
      const traced = spans.filter(
        ({ track, category }) => track.startsWith('rank') && category !== 'other',
      );
      const tracedMs = timeWithin(step, traced) / 2 / 1000;
      return tracedMs / (forwardMs + backwardMs + exchangeMs + updateMs);
    });
    // The median: a thread that the system interrupts between two clocks is late on one of them alone.
    const ratio = quantile(ratios, 0.5);
    assert.ok(Math.abs(ratio - 1) < 0.05, `${ratio}`);
  });

  test('is of one clock: no rank works on a step before the coordinator asks for it', () => {
    for (const rank of [0, 1]) {
      for (const span of ofRank(rank).filter(({ category }) => category === 'update')) {
        const asked = spans.filter(
          ({ track, name }) => track === 'coordinator' && name === 'compute',
        );
        assert.ok(
          asked.some(({ began, ended }) => began <= span.began && span.ended <= ended),
          `${span.name} at ${span.began}`,
        );
      }
    }
  });
});

test('a traced run takes the same steps, to the bit', async () => {
  const tiny = { config: TINY, data: writeTinyImages(at('data')), cpu: 2, steps: 3, testLimit: 16 };
  await train({ ...tiny, out: at('traced'), trace: at('tiny.json') });
  await train({ ...tiny, out: at('plain') });
  const losses = (path: string): number[] => stepsOf(path).map(({ loss }) => loss);
  assert.deepEqual(losses(at('traced')), losses(at('plain')));
});

test('compare traces each placement in a group of its own', async () => {
  await compare({ config: TINY, cpu: 2, steps: 2, trace: at('compare.json') });
  const spans = readTrace(at('compare.json'));
  assert.deepEqual([...new Set(spans.map(({ group }) => group))], ['split', 'grouped', 'dense']);
  const tracks = (of: string): string[] =>
    [...new Set(spans.flatMap(({ group, track }) => (group === of ? [track] : [])))].sort();
  assert.deepEqual(tracks('grouped'), ['coordinator', 'rank 0', 'rank 1']);
  assert.deepEqual(tracks('dense'), ['coordinator', 'rank 0']);
});
