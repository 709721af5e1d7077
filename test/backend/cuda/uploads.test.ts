/** Uploads of a batch while the GPU computes the one before. */
import './use_double.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../../../src/backend/capabilities.js';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { useCuda } from '../../../src/backend/native/native.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";
if (skip === false) await useCuda(0, 'float32', 1);
const maker = skip === false ? capabilities().imageMaker! : undefined!;

const IDENTITY = {
  table: Float32Array.from({ length: 3 * 256 }, (_, at) => Math.floor(at / 3)),
  std: [1, 1, 1],
  meanImage: null,
};

/** Bytes of an image of one pixel. */
function pixelOf(value: number): SharedArrayBuffer {
  const pixels = new SharedArrayBuffer(3);
  new Uint8Array(pixels).fill(value);
  return pixels;
}

/** What the GPU makes of it. */
function imageOf(pixels: SharedArrayBuffer, serial?: number): tf.Tensor {
  const batch = { bytes: new Uint8Array(pixels), serial };
  return maker.images(batch, IDENTITY, null, [1, 1, 1, 3]);
}

const valueOf = (image: tf.Tensor): number => image.dataSync()[0]!;

/** Work that lasts longer than an upload. */
function enqueueSlowWork(): void {
  tf.tidy(() => {
    const matrix = tf.ones<tf.Rank.R2>([512, 512]);
    tf.matMul(matrix, matrix);
  });
}

test('bytes that were uploaded early may change once that is done', { skip }, () => {
  const width = 1 << 22;
  const [before, pixels] = [new SharedArrayBuffer(3 * width), new SharedArrayBuffer(3 * width)];
  const bytes = new Uint8Array(pixels).fill(7);
  // Its turn comes after another upload, which lasts longer than changing a byte.
  maker.uploadEarly({ pixels: before, serial: 0 });
  maker.uploadEarly({ pixels, serial: 1 });
  maker.finishUpload();
  bytes[bytes.length - 1] = 8;
  const image = maker.images({ bytes, serial: 1 }, IDENTITY, null, [1, 1, width, 3]);
  assert.equal(image.dataSync().at(-1), 7);
});

test('of a batch that was not uploaded early, its own bytes are taken', { skip }, () => {
  maker.uploadEarly({ pixels: pixelOf(7), serial: 2 });
  maker.finishUpload();
  assert.equal(valueOf(imageOf(pixelOf(9), 3)), 9);
  assert.equal(valueOf(imageOf(pixelOf(9))), 9);
});

test('an early upload leaves the bytes alone that enqueued work will read', { skip }, () => {
  for (let serial = 10; serial < 14; serial++) {
    maker.uploadEarly({ pixels: pixelOf(serial), serial });
    maker.finishUpload();
    enqueueSlowWork();
    const image = imageOf(pixelOf(0), serial);
    maker.uploadEarly({ pixels: pixelOf(100), serial: 100 + serial });
    maker.finishUpload();
    assert.equal(valueOf(image), serial);
  }
});

test('larger batches are uploaded early after smaller ones', { skip }, () => {
  const pixels = new SharedArrayBuffer(300);
  new Uint8Array(pixels).fill(5);
  maker.uploadEarly({ pixels, serial: 200 });
  maker.finishUpload();
  assert.equal(valueOf(imageOf(pixelOf(0), 200)), 5);
});
