/** A worker that pins itself as workerData says, computes, and posts where that ran or the error. */
import { parentPort, workerData } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { useBackend, type BackendOptions } from '../../src/backend/backend.js';
import { loadDevicePin } from '../../src/backend/device_pin.js';
import { messageOf } from '../../src/errors.js';

try {
  await useBackend(workerData as BackendOptions);
  const sum = tf.add(tf.tensor1d([1, 2]), tf.tensor1d([10, 20]));
  parentPort!.postMessage({
    device: loadDevicePin().lastDevice(),
    upload: loadDevicePin().lastUpload(),
    sum: Array.from(sum.dataSync()),
    devices: loadDevicePin()
      .listDevices()
      .map(({ name }) => name),
  });
} catch (error) {
  parentPort!.postMessage({ error: messageOf(error) });
}
