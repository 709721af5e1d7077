/**
 * A worker thread of addon_threads.test.ts: convolves again and again, and answers with the greatest error
 * and the size of its team.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { convolutionGeometry, type Conv2DInfo } from '../../../src/backend/native/geometry.js';
import { loadNativeAddon } from '../../../src/backend/native/addon.js';
import {
  convolution,
  convolutionFilterGradient,
  filterLength,
  inputLength,
  outputLength,
  randomFloats,
  relativeError,
} from './references.js';

const { window, threads, rounds } = workerData as {
  window: Conv2DInfo;
  threads: number;
  rounds: number;
};
const addon = loadNativeAddon();
addon.setThreads(threads);
const geometry = convolutionGeometry(window);
const x = randomFloats('x', inputLength(window));
const filter = randomFloats('filter', filterLength(window));
const dy = randomFloats('dy', outputLength(window));
const expected = convolution(window, x, filter, null);
const expectedGradient = convolutionFilterGradient(window, x, dy);
let greatest = 0;
for (let round = 0; round < rounds; round++) {
  const out = new Float32Array(dy.length);
  const dFilter = new Float32Array(filter.length);
  addon.conv2d(x, filter, null, out, geometry, 'linear', 'float32');
  addon.conv2dBackpropFilter(x, dy, dFilter, null, geometry, 'float32');
  greatest = Math.max(
    greatest,
    relativeError(out, expected),
    relativeError(dFilter, expectedGradient),
  );
}
parentPort!.postMessage({ error: greatest, threads: addon.information().threads });
