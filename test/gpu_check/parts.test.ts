/** The parts of the GPU check, at tiny sizes on the double of NVIDIA's libraries. */
import '../backend/cuda/use_double.js';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';
import { cudaIsPrepared } from '../../src/backend/native/cuda_addon.js';
import { nativeIsPrepared } from '../../src/backend/native/addon.js';
import type { Configuration } from '../../src/configuration.js';
import { runPart } from '../../scripts/gpu_check/run_parts.js';
import type { PartName } from '../../scripts/gpu_check/parts.js';
import type { Settings } from '../../scripts/gpu_check/settings.js';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';

const skip = cudaIsPrepared() && nativeIsPrepared() ? false : 'the addons are not built here';
const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

const SETTINGS: Settings = {
  network: { config: TINY },
  precisions: ['float32', 'tf32', 'bf16'],
  kernelBatch: 2,
  samples: 50,
  batch: 16,
  steps: 3,
  learningRate: 0.05,
  resumedSteps: 4,
  memorySteps: 10,
  timedBatches: [4],
  timedSteps: 1,
  jpegSize: { height: 75, width: 100 },
  timedJpegs: 32,
  python: null,
  data: writeTinyImages(join(folder, 'data')),
  leastAccuracy: 0,
};

/** The tiny network with pooling before normalization, so that one kernel computes its first three layers, as the reference's. */
function writePooledFirst(): string {
  const tiny = JSON.parse(readFileSync(TINY, 'utf8')) as Configuration;
  const { layers } = tiny.network;
  [layers[2], layers[3]] = [layers[3]!, layers[2]!];
  const file = join(folder, 'pooled_first.json');
  writeFileSync(file, JSON.stringify(tiny));
  return file;
}

/** Seconds, which no part here comes near. */
const LONG = 120;

const FAILURE = 'TWOTOWER_DOUBLE_FAIL';
const TOO_OLD = 'TWOTOWER_DOUBLE_NVJPEG';

suite('the GPU check', { skip, concurrency: 2 }, () => {
  const passing: [PartName, Settings][] = [
    ['versions', SETTINGS],
    ['kernels', { ...SETTINGS, network: { config: writePooledFirst() } }],
    ['golden', SETTINGS],
    ['images', SETTINGS],
    ['gradients', SETTINGS],
    ['placements', SETTINGS],
    ['graphs', { ...SETTINGS, steps: 6 }],
    ['resume', SETTINGS],
    ['memory', SETTINGS],
    ['compare', { ...SETTINGS, precisions: ['bf16'] }],
    ['seed', SETTINGS],
  ];
  for (const [part, settings] of passing) {
    test(`its part ${part} passes`, async () => {
      const { state, reason, figures } = await runPart(part, settings, LONG);
      assert.deepEqual(
        { state, reason },
        { state: 'passed', reason: null },
        JSON.stringify(figures),
      );
    });
  }

  test('its part sanitizer says why it is skipped where the program is missing', async () => {
    const { state, reason } = await runPart('sanitizer', SETTINGS, LONG);
    assert.equal(state, 'skipped');
    assert.equal(reason, 'compute-sanitizer is not installed');
  });

  test('its part pytorch says why it is skipped without a Python', async () => {
    const { state, reason } = await runPart('pytorch', SETTINGS, LONG);
    assert.equal(state, 'skipped');
    assert.match(reason!, /^--python PYTHON, .*, is not given$/);
  });
});

test('a part on a GPU that fails has failed, and says how', { skip }, async () => {
  process.env[FAILURE] = 'cuMemAlloc_v2:3:2';
  try {
    const { state, reason } = await runPart('kernels', SETTINGS, LONG);
    assert.equal(state, 'failed');
    assert.match(reason!, /out of memory/);
  } finally {
    delete process.env[FAILURE];
  }
});

test('the part images says why it is skipped without nvJPEG', { skip }, async () => {
  process.env[TOO_OLD] = '12000';
  try {
    const { state, reason } = await runPart('images', SETTINGS, LONG);
    assert.equal(state, 'skipped');
    assert.match(reason!, /^no nvJPEG, so the CPU decodes JPEGs: .* 12\.1 is needed/);
  } finally {
    delete process.env[TOO_OLD];
  }
});

test('training that reaches too little has failed', { skip }, async () => {
  const { state, reason } = await runPart('seed', { ...SETTINGS, leastAccuracy: 101 }, LONG);
  assert.equal(state, 'failed');
  assert.equal(reason, 'out of bounds: test accuracy, top-1');
});

test('a part that takes too long is ended, and has failed', { skip }, async () => {
  const { state, reason } = await runPart('placements', SETTINGS, 0.1);
  assert.equal(state, 'failed');
  assert.equal(reason, 'it was ended after 0 s');
});
