/** What a run on GPUs says of the devices' time and memory. */
import './use_double.js';
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import type { TrainEvent } from '../../../src/runs/metrics.js';
import type { Summary } from '../../../src/runs/summary.js';
import { newFolder, start, TINY, writeTinyImages } from '../../commands/command_line.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";

interface TraceEvent {
  ph: string;
  name: string;
  tid: number;
  ts: number;
  dur: number;
  args: { name: string };
}

suite('a traced run on two GPUs', { skip }, () => {
  const folder = newFolder();
  const run = join(folder, 'run');
  let events: TraceEvent[] = [];
  after(() => rmSync(folder, { recursive: true }));
  before(async () => {
    const trace = join(folder, 'trace.json');
    const data = writeTinyImages(join(folder, 'data'));
    const words = ['train', '--config', TINY, '--data', data, '--gpus', '0,1', '--epochs', '1'];
    const { code, stderr } = await start([...words, '--out', run, '--trace', trace]).outcome;
    assert.equal(code, 0, stderr);
    events = JSON.parse(readFileSync(trace, 'utf8')) as TraceEvent[];
  });

  /** The spans of a track, as they began. */
  function spansOf(track: string): TraceEvent[] {
    const { tid } = events.find(({ ph, args }) => ph === 'M' && args.name === track)!;
    return events
      .filter((event) => event.ph === 'X' && event.tid === tid)
      .sort((one, other) => one.ts - other.ts);
  }

  test('has the time of each layer on each GPU, forward and backward, in every step', () => {
    for (const rank of [0, 1]) {
      const names = spansOf(`gpu of rank ${rank}`).map(({ name }) => name);
      for (const name of ['forward conv1', 'backward conv1', 'forward loss', 'update conv1']) {
        assert.ok(names.filter((one) => one === name).length >= 16, `${name} of rank ${rank}`);
      }
    }
  });

  test('has spans of a GPU that follow one another', () => {
    const spans = spansOf('gpu of rank 0');
    spans.slice(1).forEach(({ ts, name }, index) => {
      const { ts: began, dur } = spans[index]!;
      // The clock is set anew where spans are fetched; times are in microseconds.
      assert.ok(ts >= began + dur - 1000, `${name} begins ${began + dur - ts} µs too early`);
    });
  });

  test('names each GPU with its memory and its libraries in the summary', () => {
    const { placement } = JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8')) as Summary;
    for (const { gpu } of placement) {
      assert.equal(gpu!.name, 'Test GPU');
      assert.ok(gpu!.freeBytes > 0 && gpu!.freeBytes < gpu!.bytes);
      assert.equal(gpu!.files.length, 4);
    }
  });

  test('counts the memory that it holds in each step', () => {
    const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const steps = lines
      .map((line) => JSON.parse(line) as TrainEvent)
      .filter(({ event }) => event === 'train');
    assert.ok(steps.length >= 16);
    for (const { gpuBytes } of steps) assert.ok(gpuBytes! > 100_000);
  });
});
