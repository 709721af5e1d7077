import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import sharp from 'sharp';
import { BatchRing } from '../../src/data/batches.js';
import { decodeImage } from '../../src/data/image_file.js';
import { prepareDataset } from '../../src/data/prepare.js';
import { ShardReader, sequentialOrder } from '../../src/data/packed.js';
import { openPrepared } from '../../src/data/prepared.js';
import { computeStatistics } from '../../src/data/compute_statistics.js';
import { lockFolder } from '../../src/folder_lock.js';
import { writeBroken, writeFlatImage, writeImageFolder } from './image_folders.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

/** 24 training images in shards of 5, the last of 4; 6 test images. */
const PER_SHARD = 5;
const source = temporaryFolder();
await writeImageFolder(source, 12, 3);
const prepared = await prepare(source, path.join(temporaryFolder(), 'prepared'));

async function prepare(from: string, to = path.join(temporaryFolder(), 'prepared'), limit = 0.01) {
  await prepareDataset({
    ...{ source: from, destination: to, undecodableLimit: limit },
    ...{ imagesPerShard: PER_SHARD, threads: 2 },
  });
  return to;
}

/** Names, bytes and times of change. */
function filesOf(folder: string): Map<string, { bytes: string; changed: number }> {
  return new Map(
    readdirSync(folder)
      .sort()
      .map((name) => {
        const file = path.join(folder, name);
        const bytes = readFileSync(file).toString('base64');
        return [name, { bytes, changed: statSync(file).mtimeMs }];
      }),
  );
}

const bytesOf = (folder: string) => [...filesOf(folder)].map(([name, { bytes }]) => [name, bytes]);

test('a prepared folder has the counts, classes and labels of its source', async () => {
  const { classes, train, test } = await openPrepared(prepared);
  assert.deepEqual([classes, train.count, test.count], [['a', 'b'], 24, 6]);
  assert.equal(
    train.labels.reduce((sum, label) => sum + label, 0),
    12,
  );
  assert.deepEqual([...test.labels], [0, 0, 0, 1, 1, 1]);
  assert.deepEqual([...train.firsts], [0, 5, 10, 15, 20, 24]);
});

test('shards mix the classes', async () => {
  const { train } = await openPrepared(prepared);
  assert.notDeepEqual([...train.labels], [...train.labels].sort());
});

test('an image’s shorter side becomes 256 and its centre is taken', async () => {
  const folder = temporaryFolder();
  await writeImageFolder(folder, 1, 1);
  // Red rises along rows, green along columns: a straight line stays one under any resizing.
  const [height, width] = [300, 512];
  const pixels = new Uint8Array(height * width * 3);
  for (let at = 0; at < height * width; at++) {
    pixels[at * 3] = Math.round((at % width) / 2.5);
    pixels[at * 3 + 1] = Math.round(Math.floor(at / width) / 1.5);
  }
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path.join(folder, 'test/a/000.png'));
  const { test: set } = await openPrepared(await prepare(folder));
  const image = await decodeImage(new ShardReader(set).read(0), 'the image');
  assert.deepEqual([image.height, image.width], [256, 256]);
  const scale = 300 / 256;
  const left = Math.floor((Math.floor((256 * 512) / 300) - 256) / 2);
  for (const [row, column] of [
    [20, 30],
    [128, 128],
    [230, 240],
  ] as const) {
    const red = ((column + left + 0.5) * scale - 0.5) / 2.5;
    const green = ((row + 0.5) * scale - 0.5) / 1.5;
    const at = (row * 256 + column) * 3;
    // Half a step of rounding three times, and JPEG's error at quality 95 with colour at half resolution.
    assert.ok(Math.abs(image.pixels[at]! - red) < 4, `${image.pixels[at]} for ${red}`);
    assert.ok(Math.abs(image.pixels[at + 1]! - green) < 4, `${image.pixels[at + 1]} for ${green}`);
  }
});

test('the statistics are those of the images that are read back', async () => {
  const { statistics, ...dataset } = await openPrepared(prepared);
  const read = await computeStatistics(
    dataset,
    { view: { type: 'crop', from: 256 } },
    { height: 224, width: 224 },
  );
  assert.equal(statistics.images, 24);
  // JPEG moves a flat colour by at most 2 of 255, its mean over 24 images by less than 1.
  statistics.mean.forEach((mean, channel) => {
    assert.ok(Math.abs(mean - read.mean[channel]!) < 1, `${mean} for ${read.mean[channel]}`);
  });
});

test('a second run changes nothing', async () => {
  const before = filesOf(prepared);
  const { wasThere } = await prepareDataset({
    ...{ source, destination: prepared, undecodableLimit: 0.01 },
  });
  assert.ok(wasThere);
  assert.deepEqual(filesOf(prepared), before);
});

test('an abort ends the work at once, and another run continues it to the same bytes', async () => {
  const destination = path.join(temporaryFolder(), 'prepared');
  const options = { source, destination, undecodableLimit: 0, imagesPerShard: PER_SHARD };
  const reason = new Error('Ctrl-C');
  const controller = new AbortController();
  const onProgress = () => controller.abort(reason);
  const aborted = prepareDataset({ ...options, signal: controller.signal, onProgress });
  await assert.rejects(aborted, (error) => error === reason);
  await prepareDataset(options);
  assert.deepEqual(bytesOf(destination), bytesOf(prepared));
});

test('a destination that is being prepared already is refused', async () => {
  const destination = temporaryFolder();
  const lock = lockFolder(destination, 'prepares');
  await assert.rejects(
    prepareDataset({ source, destination, undecodableLimit: 0 }),
    userError(destination, `process ${process.pid}`),
  );
  lock.release();
});

test('any number of threads writes the same bytes', async () => {
  const destination = path.join(temporaryFolder(), 'prepared');
  const options = { source, destination, undecodableLimit: 0, imagesPerShard: PER_SHARD };
  await prepareDataset({ ...options, threads: 1 });
  assert.deepEqual(bytesOf(destination), bytesOf(prepared));
});

test('a prepared folder trains: every example once an epoch, with its label', async () => {
  const dataset = await openPrepared(prepared);
  const ring = new BatchRing({
    ...{ dataset, data: { view: { type: 'crop', from: 256 }, flip: true } },
    ...{ height: 224, width: 224, batch: 8, seed: 1, decoders: 2, slots: 2 },
  });
  const labels: number[] = [];
  for (let index = 0; index < 3; index++) {
    const batch = await ring.batchAt({ epoch: 0, batch: index });
    labels.push(...new Int32Array(batch.labels));
    batch.release();
  }
  await ring.close();
  assert.deepEqual(labels.sort(), [...dataset.train.labels].sort());
});

test('an epoch’s order has each example once and each shard from its front', async () => {
  const { train } = await openPrepared(prepared);
  const order = [...sequentialOrder(3, 0, train)];
  assert.deepEqual(
    order.toSorted((a, b) => a - b),
    [...Array(24).keys()],
  );
  for (const [shard, first] of [...train.firsts.slice(0, -1)].entries()) {
    const ofShard = order.filter((index) => index >= first && index < train.firsts[shard + 1]!);
    assert.deepEqual(
      ofShard,
      ofShard.toSorted((a, b) => a - b),
    );
  }
  assert.notDeepEqual(order, [...sequentialOrder(3, 1, train)]);
});

suite('a run that ended early', () => {
  test('goes on where it stopped and comes to the same bytes', async () => {
    const folder = temporaryFolder();
    cpSync(source, folder, { recursive: true });
    writeBroken(path.join(folder, 'test/b/broken.png'));
    const destination = path.join(temporaryFolder(), 'prepared');
    await assert.rejects(prepare(folder, destination), userError('test/b/broken.png', '--und'));
    const before = filesOf(destination);
    assert.ok(before.has('train-00000.shard') && !before.has('prepared.json'));
    // What a killed process leaves.
    writeFileSync(path.join(destination, 'test-00001.shard.partial-1'), 'half');
    await prepare(folder, destination, 0.2);
    const after = filesOf(destination);
    for (const [name, file] of before) {
      if (name.startsWith('train')) assert.deepEqual(after.get(name), file, name);
    }
    assert.deepEqual(
      bytesOf(destination),
      bytesOf(await prepare(folder, path.join(temporaryFolder(), 'whole'), 0.2)),
    );
  });

  test('over its limit is refused again, however often it is begun', async () => {
    const folder = temporaryFolder();
    cpSync(source, folder, { recursive: true });
    writeBroken(path.join(folder, 'train/b/broken.png'));
    const destination = path.join(temporaryFolder(), 'prepared');
    for (let time = 0; time < 3; time++) {
      await assert.rejects(prepare(folder, destination), userError('train/b/broken.png', '--und'));
    }
  });

  test('lists what it skipped', async () => {
    const folder = temporaryFolder();
    cpSync(source, folder, { recursive: true });
    writeBroken(path.join(folder, 'train/a/broken.png'));
    const { manifest } = await prepareDataset({
      ...{ source: folder, destination: path.join(temporaryFolder(), 'to'), undecodableLimit: 0.1 },
    });
    assert.deepEqual(
      manifest.skipped.map(({ file }) => file),
      ['train/a/broken.png'],
    );
    assert.deepEqual(manifest.train, [24]);
  });

  test('skips an image so narrow that with a shorter side of 256 it would not fit into memory', async () => {
    const folder = temporaryFolder();
    cpSync(source, folder, { recursive: true });
    await writeFlatImage(path.join(folder, 'test/a/line.png'), [1, 2, 3], 2000, 1);
    const { manifest } = await prepareDataset({
      ...{ source: folder, destination: path.join(temporaryFolder(), 'to'), undecodableLimit: 0.2 },
    });
    assert.deepEqual(manifest.skipped, [
      {
        file: 'test/a/line.png',
        reason: 'of 2000×1 pixels, it would be 512000×256 with a shorter side of 256',
      },
    ]);
  });
});

suite('is refused', () => {
  test('a folder that was prepared from other images', async () => {
    const folder = temporaryFolder();
    cpSync(source, folder, { recursive: true });
    await writeFlatImage(path.join(folder, 'train/a/more.png'), [1, 2, 3]);
    await assert.rejects(prepare(folder, prepared), userError(prepared, 'other images'));
  });

  test('a folder with other files', async () => {
    await assert.rejects(prepare(source, source), userError(source, 'not empty'));
  });

  function copyOfPrepared(): string {
    const copy = path.join(temporaryFolder(), 'copy');
    cpSync(prepared, copy, { recursive: true });
    return copy;
  }

  test('a shard that is cut short', async () => {
    const copy = copyOfPrepared();
    const shard = path.join(copy, 'train-00002.shard');
    truncateSync(shard, statSync(shard).size - 1);
    await assert.rejects(openPrepared(copy), userError(shard, 'truncated', 'data prepare'));
  });

  test('a shard that is empty', async () => {
    const copy = copyOfPrepared();
    const shard = path.join(copy, 'test-00000.shard');
    truncateSync(shard, 0);
    await assert.rejects(openPrepared(copy), userError(shard, 'truncated', 'data prepare'));
  });

  test('statistics of another data set', async () => {
    const copy = copyOfPrepared();
    const other = temporaryFolder();
    await writeImageFolder(other, 2, 1);
    const statistics = 'statistics.msgpack';
    cpSync(path.join(await prepare(other), statistics), path.join(copy, statistics));
    await assert.rejects(openPrepared(copy), userError(statistics, 'another data set'));
  });

  test('a manifest of another version', async () => {
    const copy = copyOfPrepared();
    writeFileSync(path.join(copy, 'prepared.json'), '{"format": 2}');
    await assert.rejects(openPrepared(copy), userError('prepared.json', 'another version'));
  });
});
