import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import { loadRun } from '../../src/library/load_run.js';
import type { LoadedRun } from '../../src/library/load_run.js';
import { train } from '../../src/library/train.js';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';
import { readEventFile } from '../report/event_reader.js';
import type { ReadEvent } from '../report/event_reader.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'run');
const tiny = { data: writeTinyImages(join(folder, 'data')), cpu: 2, testLimit: 32 };

/** One list a file, in the order of their names. */
function eventFiles(): ReadEvent[][] {
  const logs = join(path, 'tensorboard');
  return readdirSync(logs)
    .sort()
    .map((name) => readEventFile(join(logs, name)));
}

suite('the TensorBoard log of a run', () => {
  let run: LoadedRun;
  let events: ReadEvent[];

  before(async () => {
    await train({ ...tiny, config: TINY, out: path, steps: 3 });
    run = loadRun(path);
    [events] = eventFiles() as [ReadEvent[]];
  });

  const seriesOf = (tag: string): [number, number][] =>
    events.flatMap(({ step, scalars }) => (scalars.has(tag) ? [[step, scalars.get(tag)!]] : []));

  test('has the metrics of each step and test', () => {
    const loss = run.metrics.flatMap((line): [number, number][] =>
      line.event === 'train' ? [[line.step, Math.fround(line.loss)]] : [],
    );
    assert.deepEqual(seriesOf('train/loss'), loss);
    const top1 = run.metrics.flatMap((line) =>
      line.event === 'test' ? [[line.step, Math.fround(line.top1)]] : [],
    );
    assert.deepEqual(seriesOf('test/top1'), top1);
  });

  test('has the weights and updates of each rank as the checkpoint has them', () => {
    const { model, optimizer } = run.loadCheckpoint();
    const { step, histograms } = events.find((event) => event.histograms.size > 0)!;
    assert.equal(step, 3);
    for (const [kind, tensors] of [
      ['weights', model],
      ['updates', optimizer],
    ] as const) {
      for (const [name, { data }] of tensors) {
        for (const rank of [0, 1]) {
          const share = data.subarray((rank * data.length) / 2, ((rank + 1) * data.length) / 2);
          const histogram = histograms.get(`${kind}/${name}/rank_${rank}`)!;
          assert.equal(histogram.num, share.length);
          assert.equal(histogram.min, Math.min(...share));
          assert.equal(histogram.max, Math.max(...share));
          assert.equal(
            histogram.counts.reduce((sum, count) => sum + count, 0),
            share.length,
          );
        }
      }
    }
  });

  test('has a ratio of update to weights for each kernel of each rank', () => {
    const { histograms } = events.find((event) => event.histograms.size > 0)!;
    // 8 kernels in conv1, half of them on each rank.
    for (const rank of [0, 1]) {
      const { num, min, max } = histograms.get(`update_ratio/conv1.weight/rank_${rank}`)!;
      assert.equal(num, 4);
      assert.ok(min > 0 && max < 1, `${min} to ${max}`);
    }
  });

  test("has each rank's first kernels as an image", async () => {
    const images = new Map(events.flatMap((event) => [...event.images]));
    assert.deepEqual([...images.keys()], ['kernels/conv1/rank_0', 'kernels/conv1/rank_1']);
    for (const { width, height, png } of images.values()) {
      const decoded = await sharp(png).metadata();
      assert.deepEqual([decoded.width, decoded.height, decoded.format], [width, height, 'png']);
    }
  });

  test('goes on in a new file, which drops what an old one has beyond its start', async () => {
    await train({ ...tiny, resume: path, steps: 5 });
    const [first, second, ...more] = eventFiles();
    assert.deepEqual(more, []);
    assert.deepEqual(first, events);
    assert.deepEqual(
      second!.flatMap(({ session, step }) => (session === undefined ? [] : [[session, step]])),
      [[1, 4]],
    );
    const steps = second!.flatMap(({ scalars, step }) => (scalars.has('train/loss') ? [step] : []));
    assert.deepEqual(steps, [4, 5]);
  });
});
