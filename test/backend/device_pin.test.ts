import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { prepareProcess } from '../../src/backend/backend.js';
import { tensorFlowIsPrepared } from '../../src/backend/device_pin.js';

interface Report {
  device: string;
  upload: string;
  sum: number[];
  devices: string[];
  error?: string;
}

function pinned(logicalCpu: number, logicalCpus: number): Promise<Report> {
  const worker = new Worker(new URL('./pinned_worker.js', import.meta.url), {
    workerData: { backend: 'tensorflow', device: 'cpu', threads: 1, logicalCpu, logicalCpus },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

const skip = tensorFlowIsPrepared() ? false : 'TensorFlow is not prepared here';
if (!skip) prepareProcess();

test('two threads pinned to two devices compute on them at the same time', { skip }, async () => {
  const reports = await Promise.all([pinned(0, 2), pinned(1, 2)]);
  assert.deepEqual(
    reports.map(({ device, sum }) => ({ device, sum })),
    [
      { device: '/job:localhost/replica:0/task:0/device:CPU:0', sum: [11, 22] },
      { device: '/job:localhost/replica:0/task:0/device:CPU:1', sum: [11, 22] },
    ],
  );
});

test('each thread uploads to its own device', { skip }, async () => {
  const reports = await Promise.all([pinned(0, 3), pinned(1, 3)]);
  assert.deepEqual(
    reports.map(({ upload }) => upload),
    [
      '/job:localhost/replica:0/task:0/device:CPU:0',
      '/job:localhost/replica:0/task:0/device:CPU:1',
    ],
  );
});

test("each thread's configuration reaches its own context", { skip }, async () => {
  const reports = await Promise.all([pinned(0, 2), pinned(0, 3)]);
  assert.deepEqual(
    reports.map(({ devices }) => devices.length),
    [2, 3],
  );
});

test("an absent device gives TensorFlow's own error, which names it", { skip }, async () => {
  const { error } = await pinned(7, 2);
  assert.match(error ?? 'no error', /device:CPU:7/);
});
