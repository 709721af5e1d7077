/** Batches of JPEGs that nvJPEG decodes: on the double, which decodes as the CPU does, to the bit those of the CPU. */
import './use_double.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { after, test } from 'node:test';
import sharp from 'sharp';
import { cudaIsPrepared, loadCudaAddon } from '../../../src/backend/native/cuda_addon.js';
import type { DataConfiguration, ImageView } from '../../../src/configuration.js';
import { type Batch, BatchRing } from '../../../src/data/batches.js';
import type { Dataset } from '../../../src/data/examples.js';
import { openFolder } from '../../../src/data/folder.js';
import { GpuJpegs } from '../../../src/data/gpu_jpegs.js';
import { prepareDataset } from '../../../src/data/prepare.js';
import { openPrepared } from '../../../src/data/prepared.js';
import type { Crops } from '../../../src/data/views.js';
import { DAMAGED, OTHER, PLAIN, writeJpegFolder } from '../../data/jpeg_folders.js';
import { temporaryFolder } from '../../data/temporary.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";

const ALL = { ...PLAIN, ...OTHER, ...DAMAGED };

/** Images of a class in a split, so that all kinds are in both. */
const IMAGES = 20;
const BATCH = 8;
/** Of an epoch. Fewer are whole if the images that cannot be decoded are left out. */
const BATCHES = 3;
const EPOCHS = 2;
const INPUT = { height: 23, width: 31 };

const folder = skip === false ? await writeJpegFolder(temporaryFolder(), IMAGES, ALL) : '';
const rings: BatchRing[] = [];
after(() => Promise.all(rings.map((ring) => ring.close())));

function openRing(
  dataset: Dataset,
  data: Pick<DataConfiguration, 'view' | 'flip'>,
  gpus: number[],
): BatchRing {
  const ring = new BatchRing({
    dataset,
    data: { ...data, undecodableLimit: 1 },
    ...INPUT,
    batch: BATCH,
    seed: 11,
    decoders: 3,
    slots: 2,
    jpegDecoder: { name: 'nvJPEG', version: '', gpus },
  });
  rings.push(ring);
  return ring;
}

/** Digests of all bytes, and the labels, of two epochs and a test, and the images that could not be decoded. */
async function contentsOf(ring: BatchRing, crops: Crops): Promise<unknown> {
  const contents: unknown[] = [];
  const add = (batch: Batch): void => {
    const { pixels, labels, count } = batch;
    const bytes = count * INPUT.height * INPUT.width * 3;
    contents.push(
      createHash('sha256')
        .update(new Uint8Array(pixels, 0, bytes))
        .digest('hex'),
    );
    contents.push([...new Int32Array(labels, 0, count)]);
    batch.release();
  };
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    for (let batch = 0; batch < BATCHES; batch++) add(await ring.batchAt({ epoch, batch }));
  }
  for await (const batch of ring.test(Infinity, crops)) add(batch);
  // libvips mixes the reasons of threads.
  const undecodable = ring.undecodable.map(({ file }) => file);
  return { contents, undecodable: undecodable.sort() };
}

async function areEqual(
  dataset: Dataset,
  data: Pick<DataConfiguration, 'view' | 'flip'>,
  crops: Crops = 1,
): Promise<void> {
  const [byGpus, byCpu] = await Promise.all(
    [[0, 1], []].map((gpus) => contentsOf(openRing(dataset, data, gpus), crops)),
  );
  assert.deepEqual(byGpus, byCpu);
}

const RESIZE: ImageView = { type: 'resize' };
const CROP: ImageView = { type: 'crop', from: 40 };

for (const { name, view, flip, crops } of [
  { name: 'resized', view: RESIZE, flip: false },
  { name: 'resized and flipped', view: RESIZE, flip: true },
  { name: 'padded and flipped', view: { type: 'pad', pixels: 5 } as const, flip: true },
  { name: 'cropped', view: CROP, flip: false },
  {
    name: 'cropped and flipped, and tested with ten crops',
    view: CROP,
    flip: true,
    crops: 10 as const,
  },
]) {
  test(`images that are ${name} have the same bytes from nvJPEG`, { skip }, async () => {
    await areEqual(await openFolder(folder), { view, flip }, crops);
  });
}

test('images of prepared shards have the same bytes from nvJPEG', { skip }, async () => {
  const destination = path.join(temporaryFolder(), 'prepared');
  const limits = { undecodableLimit: 1, imagesPerShard: 7, threads: 1 };
  await prepareDataset({ source: folder, destination, ...limits });
  await areEqual(await openPrepared(destination), { view: CROP, flip: true });
});

if (skip === false) {
  const jpegs = new GpuJpegs(1, []);
  for (const [name, make] of Object.entries(PLAIN)) {
    test(`nvJPEG decodes a JPEG ${name}`, async () => {
      const onGpu = jpegs.decode(await make(), name);
      assert.equal(onGpu?.isOnGpu, true);
    });
  }
  for (const [name, make] of Object.entries({ ...OTHER, ...DAMAGED })) {
    test(`an image ${name} is left to the CPU`, async () => {
      assert.equal(jpegs.decode(await make(), name), null);
    });
  }
}

test('an image that is too large for a part of the GPU is left to the CPU', { skip }, async () => {
  const large = { width: 4097, height: 4096, channels: 3, background: 'red' } as const;
  const bytes = await sharp({ create: large }).jpeg().toBuffer();
  assert.equal(new GpuJpegs(0, []).decode(bytes, 'a large image'), null);
});

test(
  'a decoder holds the memory of its largest image, however many it decodes',
  { skip },
  async () => {
    const jpegs = new GpuJpegs(0, []);
    const addon = loadCudaAddon();
    const [side, shown] = [90, new Uint8Array(INPUT.height * INPUT.width * 3)];
    const show = (bytes: Buffer): void => {
      const image = jpegs.decode(bytes, 'an image')!;
      const window = { top: 0, left: 0, ...image, mirrored: false };
      jpegs.show(image, RESIZE, window, INPUT, shown);
    };
    const largest = { width: side, height: side, channels: 3, background: 'red' } as const;
    // Scratch memory reaches its size with the first few images.
    for (let time = 0; time < 5; time++) show(await sharp({ create: largest }).jpeg().toBuffer());
    const held = addon.heldBytes();
    for (let image = 0; image < 100; image++) show(await PLAIN['progressive']!());
    assert.equal(addon.heldBytes(), held);
  },
);
