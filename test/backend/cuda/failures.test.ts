/** What the command line says if a GPU, its driver or a library is missing or fails, and what it leaves. */
import './use_double.js';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import {
  newFolder,
  start,
  TINY,
  writeTinyImages,
  type Outcome,
} from '../../commands/command_line.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";
const double = process.env['TWOTOWER_CUDA']!;
const folder = newFolder();
const data = skip === false ? writeTinyImages(join(folder, 'data')) : '';
after(() => rmSync(folder, { recursive: true }));

/** Trains on two GPUs in a new run folder. */
function train(
  out: string,
  environment: Record<string, string>,
  options: string[] = [],
): Promise<Outcome> {
  const words = ['train', '--config', TINY, '--data', data, '--out', join(folder, out)];
  return start([...words, '--gpus', '0,1', ...options], { environment }).outcome;
}

/** A folder with some of the libraries. */
function libraries(name: string, files: string[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const file of files)
    symlinkSync(join(double, 'libtwotower_cuda_double.so'), join(path, file));
  return path;
}

const REFUSED: { name: string; environment: () => Record<string, string>; message: RegExp }[] = [
  {
    name: 'a driver that does not start',
    environment: () => ({ TWOTOWER_DOUBLE_FAIL: 'cuInit:1:999' }),
    message:
      /^twotower: no GPU with the native backend: .*cuInit failed: unknown error; or give --allow-cpu .*/,
  },
  {
    name: 'a library that is missing',
    environment: () => ({
      TWOTOWER_CUDA: libraries('no cuDNN', ['libcuda.so.1', 'libnvrtc.so.13', 'libcublasLt.so.13']),
    }),
    message:
      /on gpu:\d failed .*libcudnn\.so\.9 was not found .*: pip install .*nvidia-cudnn-cu13 /,
  },
  {
    name: 'libraries that the driver is too old for',
    environment: () => ({ TWOTOWER_DOUBLE_DRIVER: '12040' }),
    message: /libnvrtc\.so\.12 was not found .*: pip install .*nvidia-cuda-nvrtc-cu12 /,
  },
  {
    name: 'an architecture that NVRTC does not know',
    environment: () => ({ TWOTOWER_DOUBLE_CAPABILITY: '130' }),
    message: /NVRTC 13\.0 does not know the GPU's architecture, sm_130: install a version .*/,
  },
  {
    name: 'a GPU that is not there',
    environment: () => ({ TWOTOWER_DOUBLE_DEVICES: '1' }),
    message: /GPU 1 does not exist on this host/,
  },
  {
    name: 'a precision that the GPU does not have',
    environment: () => ({ TWOTOWER_DOUBLE_CAPABILITY: '75', TWOTOWER_TEST_PRECISION: 'tf32' }),
    message: /GPU \d \(Test GPU\) multiplies neither bf16 nor tf32 numbers; use float32/,
  },
];

for (const { name, environment, message } of REFUSED) {
  test(`${name} is told in one line`, { skip }, async () => {
    const given = environment();
    const precision = given['TWOTOWER_TEST_PRECISION'];
    const options = precision === undefined ? [] : ['--precision', precision];
    const { code, stderr } = await train(name, given, options);
    assert.equal(code, 1);
    const lines = stderr.trim().split('\n');
    assert.match(lines.at(-1)!, message);
    assert.ok(!lines.some((line) => /^\s+at /.test(line)), stderr);
    assert.equal(existsSync(join(folder, name, 'checkpoints')), false);
  });
}

test('without a GPU, CPU workers take their places, which is announced', { skip }, async () => {
  const environment = { TWOTOWER_CUDA: libraries('empty', []) };
  const { code, stderr } = await train('without', environment, ['--epochs', '1']);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /gpu:0 and gpu:1 are carried out by CPU workers/);
});

test('with --allow-cpu, a driver that does not start is a warning', { skip }, async () => {
  const environment = { TWOTOWER_DOUBLE_FAIL: 'cuInit:1:999' };
  const { code, stderr } = await train('allowed', environment, ['--allow-cpu', '--epochs', '1']);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /warning: no GPU with the native backend: .*cuInit failed/);
});

test('memory that cannot be page-locked is uploaded all the same', { skip }, async () => {
  const report = join(folder, 'not locked.json');
  const environment = { TWOTOWER_DOUBLE_LOCKABLE: '1', TWOTOWER_DOUBLE_REPORT: report };
  const { code, stderr } = await train('not locked', environment, ['--epochs', '1']);
  assert.equal(code, 0, stderr);
  const { hostMemory } = JSON.parse(readFileSync(report, 'utf8')) as { hostMemory: unknown };
  assert.deepEqual(hostMemory, { created: 0, destroyed: 0 });
});

for (const { name, environment, options, message } of [
  {
    name: 'a GPU whose memory is full ends the run in one line with what is free',
    environment: { TWOTOWER_DOUBLE_MEMORY: '30000' },
    options: [],
    message:
      /GPU \d \(Test GPU\) is out of memory: \d+ MiB were asked for; this worker holds \d+ MiB, and \d+ MiB of the GPU's \d+ MiB are free; free the GPU, or /,
  },
  {
    name: 'a batch that is too large for the GPU ends the run in one line with one that fits',
    environment: { TWOTOWER_DOUBLE_MEMORY: '2000000' },
    options: ['--batch', '64'],
    message: /; about [1-9]\d? of the 64 images at once would fit: lower --batch, /,
  },
  {
    name: 'a worker takes no more than its part of --gpu-memory',
    environment: {},
    options: ['--batch', '64', '--gpu-memory', '0.001'],
    message: /this worker holds \d MiB of the 4 MiB that it may, and \d+ MiB of the GPU's 4096 MiB/,
  },
]) {
  test(name, { skip }, async () => {
    const { code, stderr } = await train(name, environment, options);
    assert.equal(code, 1);
    assert.match(stderr.trim().split('\n').at(-1)!, message);
  });
}

test(
  'a GPU that is lost in mid-step ends the run; the last checkpoint is named',
  { skip },
  async () => {
    const saving = ['--checkpoint-every', '5', '--checkpoint-minutes', '0'];
    const environment = { TWOTOWER_DOUBLE_FAIL: 'cuStreamWaitEvent:120:719' };
    const { code, stderr } = await train('lost', environment, saving);
    assert.equal(code, 1);
    const lines = stderr.trim().split('\n');
    assert.match(
      lines.at(-1)!,
      /on gpu:\d failed at step \d+, .*CUDA_ERROR_LAUNCH_FAILED.*--resume/,
    );
    assert.ok(existsSync(join(folder, 'lost', 'checkpoints', 'step-5')), stderr);
  },
);
