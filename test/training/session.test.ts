import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Device } from '../../src/backend/backend.js';
import { decodersFor } from '../../src/training/session.js';

const on = (...devices: Device[]) =>
  devices.map((device, rank) => ({ ranks: [rank], device, requested: device, threads: 1 }));

test('workers on CPUs share their cores with one decoder', () => {
  assert.equal(decodersFor(on('cpu', 'cpu'), 64), 1);
});

test('GPUs have four decoders each where there are cores', () => {
  assert.deepEqual([decodersFor(on('gpu:0'), 16), decodersFor(on('gpu:0', 'gpu:1'), 64)], [4, 8]);
});

test('each GPU’s thread keeps a core, and one decoder is always there', () => {
  assert.deepEqual([decodersFor(on('gpu:0', 'gpu:1'), 8), decodersFor(on('gpu:0'), 1)], [6, 1]);
});
