import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { after, suite, test } from 'node:test';
import {
  type Batch,
  BatchRing,
  type BatchRingOptions,
  batchesPerEpoch,
} from '../../src/data/batches.js';
import { openFolder } from '../../src/data/folder.js';
import { UserError } from '../../src/errors.js';
import { prepareDataset } from '../../src/data/prepare.js';
import { openPrepared } from '../../src/data/prepared.js';
import { writeBroken, writeFlatImage, writeImageFolder } from './image_folders.js';
import { recordsDataset } from './records.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const rings: BatchRing[] = [];
after(() => Promise.all(rings.map((ring) => ring.close())));

/** Batches of 8 from 44 training and 19 test examples, whose labels are their indices. */
function openRing(options: Partial<BatchRingOptions> = {}): BatchRing {
  const ring = new BatchRing({
    dataset: recordsDataset(44, 19),
    data: { view: { type: 'pad', pixels: 4 }, flip: true },
    height: 24,
    width: 24,
    batch: 8,
    seed: 3,
    decoders: 2,
    slots: 3,
    ...options,
  });
  rings.push(ring);
  return ring;
}

/** The batches of an epoch from `first` on. */
async function* epochOf(ring: BatchRing, epoch: number, first: number, batches = 5) {
  for (let batch = first; batch < batches; batch++) {
    yield await ring.batchAt({ epoch, batch });
  }
}

interface Seen {
  index: number;
  labels: number[];
  pixels: string;
}

function look({ index, labels, pixels, count }: Batch): Seen {
  const bytes = (pixels.byteLength / (labels.byteLength / 4)) * count;
  return {
    index,
    labels: [...new Int32Array(labels, 0, count)],
    pixels: Buffer.from(pixels, 0, bytes).toString('base64'),
  };
}

/** The pixels of one image of a batch. */
function pixelsAt({ pixels, labels }: Seen, position: number): string {
  const bytes = Buffer.from(pixels, 'base64');
  const length = bytes.length / labels.length;
  return bytes.subarray(position * length, (position + 1) * length).toString('base64');
}

async function lookAtAll(batches: AsyncIterable<Batch>): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const batch of batches) {
    seen.push(look(batch));
    batch.release();
  }
  return seen;
}

const labelsOf = (seen: Seen[]) => seen.flatMap(({ labels }) => labels);
const ascending = (a: number, b: number) => a - b;

test('an epoch of whole batches has every example exactly once', async () => {
  const ring = openRing({ dataset: recordsDataset(40, 1) });
  const labels = labelsOf(await lookAtAll(epochOf(ring, 0, 0)));
  assert.deepEqual(labels.sort(ascending), [...Array(40).keys()]);
});

test('an epoch ends with its last whole batch, without doubles', async () => {
  const seen = await lookAtAll(epochOf(openRing(), 0, 0));
  assert.deepEqual(
    seen.map(({ index, labels }) => [index, labels.length]),
    [0, 1, 2, 3, 4].map((index) => [index, 8]),
  );
  assert.equal(new Set(labelsOf(seen)).size, 40);
});

test('epochs differ in their order', async () => {
  const ring = openRing();
  const first = labelsOf(await lookAtAll(epochOf(ring, 0, 0)));
  const second = labelsOf(await lookAtAll(epochOf(ring, 1, 0)));
  assert.notDeepEqual(first, second);
});

test('the bytes are the same whatever the number of decoders and slots', async () => {
  const expected = await lookAtAll(epochOf(openRing({ decoders: 1, slots: 1 }), 4, 0));
  assert.deepEqual(await lookAtAll(epochOf(openRing({ decoders: 3, slots: 5 }), 4, 0)), expected);
});

test('an epoch entered at a later batch is the tail of the whole epoch', async () => {
  const ring = openRing();
  const whole = await lookAtAll(epochOf(ring, 2, 0));
  assert.deepEqual(await lookAtAll(epochOf(ring, 2, 3)), whole.slice(3));
});

test('a batch beyond the end of an epoch is refused', async () => {
  await assert.rejects(openRing().batchAt({ epoch: 2, batch: 5 }), /epoch 2 has no batch 5/);
});

test('the test split comes in order and whole, its last batch smaller', async () => {
  const seen = await lookAtAll(openRing().test());
  assert.deepEqual(
    seen.map(({ labels }) => labels),
    [
      [0, 1, 2, 3, 4, 5, 6, 7],
      [8, 9, 10, 11, 12, 13, 14, 15],
      [16, 17, 18],
    ],
  );
});

test('a sample of a split has each example once, in an order of its own, as the test sees it', async () => {
  const ring = openRing();
  const sample = await lookAtAll(ring.sample('test'));
  const labels = labelsOf(sample);
  const inOrder = await lookAtAll(openRing().test());
  assert.deepEqual(labels.toSorted(ascending), labelsOf(inOrder));
  assert.notDeepEqual(labels, labelsOf(inOrder));
  const first = labels[0]!;
  assert.equal(pixelsAt(sample[0]!, 0), pixelsAt(inOrder[Math.floor(first / 8)]!, first % 8));
});

test('a crop from an image smaller than the input is refused, naming the field and the remedy', () => {
  assert.throws(
    () => openRing({ data: { view: { type: 'crop', from: 20 }, flip: true } }),
    (error) =>
      error instanceof UserError && /data\.view\.from is 20.*24×24: make it 24/.test(error.message),
  );
});

test('ten crops give each test image ten times in a row, the same for any batch and decoders', async () => {
  const data = { view: { type: 'crop', from: 32 }, flip: true } as const;
  const views = async (batch: number, decoders: number) => {
    const dataset = recordsDataset(44, 3);
    const ring = openRing({ dataset, data, batch, decoders });
    const seen = await lookAtAll(ring.test(undefined, 10));
    return seen.flatMap((one) => one.labels.map((label, at) => [label, pixelsAt(one, at)]));
  };
  const expected = await views(8, 1);
  assert.deepEqual(
    expected.map(([label]) => label),
    [0, 1, 2].flatMap((label) => Array<number>(10).fill(label)),
  );
  assert.equal(new Set(expected.map(([, pixels]) => pixels)).size, 30);
  assert.deepEqual(await views(7, 3), expected);
});

test('the test split is not augmented', async () => {
  const augmented = await lookAtAll(openRing().test());
  const plain = await lookAtAll(
    openRing({ data: { view: { type: 'resize' }, flip: false } }).test(),
  );
  assert.deepEqual(augmented, plain);
});

test('a limit takes a sample of the test, the same each time for a seed', async () => {
  const dataset = recordsDataset(44, 200);
  const sampleOf = async (seed: number) =>
    labelsOf(await lookAtAll(openRing({ dataset, seed }).test(20)));
  const sample = await sampleOf(3);
  assert.equal(new Set(sample).size, 20);
  // A folder lists class by class, so a sample of its first images has few of the classes.
  assert.ok(Math.max(...sample) > 100, sample.join(' '));
  assert.deepEqual(await sampleOf(3), sample);
  assert.notDeepEqual(await sampleOf(4), sample);
});

test('a limit above the number of test examples takes them all', async () => {
  assert.equal(labelsOf(await lookAtAll(openRing().test(30))).length, 19);
});

test('a buffer is filled again only after its batch is released', async () => {
  const ring = openRing({ slots: 2 });
  const first = await ring.batchAt({ epoch: 0, batch: 0 });
  const second = await ring.batchAt({ epoch: 0, batch: 1 });
  const kept = look(first);
  const waiting = ring.batchAt({ epoch: 0, batch: 2 });
  second.release();
  const third = await waiting;
  assert.equal(third.pixels, second.pixels);
  assert.deepEqual(look(first), kept);
});

test('releasing a batch twice does not free its buffer for two batches', async () => {
  const ring = openRing({ slots: 2 });
  const first = await ring.batchAt({ epoch: 0, batch: 0 });
  first.release();
  first.release();
  const second = await ring.batchAt({ epoch: 0, batch: 1 });
  await ring.batchAt({ epoch: 0, batch: 2 });
  second.release();
  // The third batch is in the first's buffer and not released, so only the second's is free.
  const fourth = await ring.batchAt({ epoch: 0, batch: 3 });
  assert.equal(fourth.pixels, second.pixels);
});

/** The batch after one in hand, once it is decoded. */
async function decodedAfter(batch: Batch): Promise<Batch> {
  for (;;) {
    const following = batch.next();
    if (following !== undefined) return following;
    await nextTurn();
  }
}

test('a batch knows the one after it, from when that is decoded until it is taken', async () => {
  const ring = openRing();
  const first = await ring.batchAt({ epoch: 0, batch: 0 });
  const following = await decodedAfter(first);
  assert.equal(await ring.batchAt({ epoch: 0, batch: 1 }), following);
  assert.equal(first.next(), undefined);
});

test('a batch that is dropped for a test is not the next one', async () => {
  const ring = openRing();
  const first = await ring.batchAt({ epoch: 0, batch: 0 });
  await decodedAfter(first);
  const test = ring.test();
  await test.next();
  assert.equal(first.next(), undefined);
  await test.return();
});

test('batches have different serial numbers, also of different rings', async () => {
  const place = { epoch: 0, batch: 0 };
  const one = await openRing().batchAt(place);
  const other = await openRing().batchAt(place);
  assert.notEqual(one.serial, other.serial);
});

test('training asked for at another position has the batches of that position', async () => {
  const ring = openRing();
  const [first, second] = await lookAtAll(epochOf(openRing(), 1, 0));
  assert.deepEqual(await lookAtAll(epochOf(ring, 1, 1, 2)), [second]);
  assert.deepEqual(await lookAtAll(epochOf(ring, 1, 0, 1)), [first]);
});

test('a test in the middle of an epoch changes nothing of the training batches', async () => {
  const ring = openRing();
  const whole = await lookAtAll(epochOf(openRing(), 0, 0));
  const before = await lookAtAll(epochOf(ring, 0, 0, 2));
  const tested = await lookAtAll(ring.test());
  assert.deepEqual([...before, ...(await lookAtAll(epochOf(ring, 0, 2)))], whole);
  assert.deepEqual(tested, await lookAtAll(openRing().test()));
});

test('a training batch in hand stays as it is during a test', async () => {
  const ring = openRing();
  const batch = await ring.batchAt({ epoch: 0, batch: 0 });
  const kept = look(batch);
  await lookAtAll(ring.test());
  assert.deepEqual(look(batch), kept);
});

test('tests left early, batches in hand, leave all buffers to the next pass', async () => {
  const ring = openRing({ slots: 2 });
  for (let pass = 0; pass < 3; pass++) {
    for await (const batch of ring.test()) if (batch.index === 1) break;
  }
  assert.equal((await lookAtAll(ring.test())).length, 3);
});

test('training inside a test that is under way is refused', async () => {
  const ring = openRing();
  const batches = ring.test();
  await batches.next();
  await assert.rejects(ring.batchAt({ epoch: 0, batch: 0 }), /still under way/);
  await batches.return();
});

suite('impatience', () => {
  const reason = new Error('stop');

  /** Every buffer is in use, so that nothing more is decoded. */
  async function exhausted(): Promise<{ ring: BatchRing; batches: Batch[] }> {
    const ring = openRing({ slots: 2 });
    const at = (batch: number) => ring.batchAt({ epoch: 0, batch });
    return { ring, batches: [await at(0), await at(1)] };
  }

  test('an abort ends the wait for a training batch at once, with its reason', async () => {
    const { ring } = await exhausted();
    const controller = new AbortController();
    const waiting = ring.batchAt({ epoch: 0, batch: 2 }, controller.signal);
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
  });

  test('the batch can be had after an abort', async () => {
    const { ring, batches } = await exhausted();
    await assert.rejects(ring.batchAt({ epoch: 0, batch: 2 }, AbortSignal.abort(reason)));
    batches.forEach((batch) => batch.release());
    const seen = look(await ring.batchAt({ epoch: 0, batch: 2 }));
    assert.deepEqual(seen, (await lookAtAll(epochOf(openRing(), 0, 2, 3)))[0]);
  });

  test('an abort ends the wait for a test batch at once', async () => {
    const { ring } = await exhausted();
    const controller = new AbortController();
    const waiting = ring.test(undefined, 1, controller.signal).next();
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
  });
});

test('a decoder that hangs is named with what it reads', async () => {
  const folder = temporaryFolder();
  await writeImageFolder(path.join(folder, 'images'), 2, 1);
  const destination = path.join(folder, 'prepared');
  await prepareDataset({ source: path.join(folder, 'images'), destination, undecodableLimit: 0 });
  const dataset = await openPrepared(destination);
  // Opening a pipe that nobody writes to blocks, as reading from a network drive that is gone does.
  const shard = dataset.train.shards[0]!;
  rmSync(shard);
  execFileSync('mkfifo', [shard]);
  const data = { view: { type: 'resize' }, flip: false } as const;
  const ring = openRing({ dataset, data, batch: 4, decoders: 1, stallTimeoutMs: 50 });
  try {
    await assert.rejects(
      ring.batchAt({ epoch: 0, batch: 0 }),
      userError('decoder 0 has worked on image', shard, '0.05 s', 'check that its drive responds'),
    );
  } finally {
    // Lets the thread go, which cannot be ended while it waits in the kernel.
    const descriptor = openSync(shard, constants.O_RDWR);
    await ring.close();
    closeSync(descriptor);
  }
});

test('the time that the consumer waited is counted', async () => {
  const ring = openRing();
  assert.equal(ring.waitedMs, 0);
  await lookAtAll(ring.test());
  assert.ok(ring.waitedMs > 0);
});

suite('images that cannot be decoded', () => {
  /** Training images whose red is their index, the fourth and the fifth broken; of five test images the third. */
  async function ringWithBroken(options: Partial<BatchRingOptions>): Promise<BatchRing> {
    const folder = temporaryFolder();
    for (let index = 0; index < 12; index++) {
      const name = `a/${String(index).padStart(2, '0')}.png`;
      const training = path.join(folder, 'train', name);
      const test = path.join(folder, 'test', name);
      if (index === 3 || index === 4) writeBroken(training);
      else await writeFlatImage(training, [index, 0, 0], 24, 24);
      if (index === 2) writeBroken(test);
      else if (index < 5) await writeFlatImage(test, [index, 0, 0], 24, 24);
    }
    const data = { view: { type: 'resize' }, flip: false, undecodableLimit: 0.5 } as const;
    return openRing({ dataset: await openFolder(folder), data, batch: 4, ...options });
  }

  async function redsOf(batches: AsyncIterable<Batch>): Promise<number[][]> {
    const reds: number[][] = [];
    for await (const batch of batches) {
      const { pixels, count } = batch;
      const bytes = pixels.byteLength / 4;
      reds.push(Array.from({ length: count }, (_, at) => new Uint8Array(pixels)[at * bytes]!));
      batch.release();
    }
    return reds;
  }

  test('in training the next of the data set stands in, whatever the threads and the start', async () => {
    const ring = await ringWithBroken({ decoders: 1 });
    const whole = await redsOf(epochOf(ring, 1, 0, 3));
    const expected = [0, 1, 2, 5, 5, 5, 6, 7, 8, 9, 10, 11];
    assert.deepEqual(whole.flat().sort(ascending), expected);
    assert.deepEqual(await redsOf(epochOf(ring, 1, 1, 3)), whole.slice(1));
    assert.deepEqual(await redsOf(epochOf(await ringWithBroken({ decoders: 3 }), 1, 0, 3)), whole);
  });

  test('in the test they are left out', async () => {
    const ring = await ringWithBroken({});
    assert.deepEqual(await redsOf(ring.test()), [[0, 1, 3], [4]]);
  });

  test('each is listed once', async () => {
    const ring = await ringWithBroken({});
    for (const epoch of [0, 1]) await redsOf(epochOf(ring, epoch, 0, 3));
    await redsOf(ring.test());
    const listed = ring.undecodable.map(({ split, file }) => `${split} ${path.basename(file)}`);
    assert.deepEqual(listed.sort(), ['test 02.png', 'train 03.png', 'train 04.png']);
  });

  test('more than the limit end the pass, naming one, and the ring goes on', async () => {
    const data = { view: { type: 'resize' }, flip: false, undecodableLimit: 0.1 } as const;
    const ring = await ringWithBroken({ data });
    await assert.rejects(redsOf(epochOf(ring, 0, 0, 3)), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(
        error.message,
        /0[34]\.png cannot be decoded.* 1 other .*10 %.*undecodableLimit/,
      );
      return true;
    });
    await assert.rejects(redsOf(ring.test()), /02\.png cannot be decoded/);
  });

  test('without a limit given it is one percent', async () => {
    const ring = await ringWithBroken({ data: { view: { type: 'resize' }, flip: false } });
    await assert.rejects(redsOf(epochOf(ring, 0, 0, 3)), /more than 1 %/);
  });
});

test('batchesPerEpoch counts whole batches', () => {
  assert.deepEqual([batchesPerEpoch(44, 8), batchesPerEpoch(8, 8)], [5, 1]);
});

test('a batch larger than the data set is refused, naming both and the remedy', async () => {
  await assert.rejects(
    openRing({ batch: 45 }).batchAt({ epoch: 0, batch: 0 }),
    userError('batch of 45', '44', '--batch 44'),
  );
});
