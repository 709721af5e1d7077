/** A worker that adds on the WebAssembly backend and posts the sum. */
import { parentPort } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { useBackend } from '../../src/backend/backend.js';

await useBackend({ backend: 'wasm', device: 'cpu', threads: 1 });
const sum = tf.add(tf.tensor1d([1, 2]), tf.tensor1d([10, 20]));
parentPort!.postMessage(Array.from(sum.dataSync()));
