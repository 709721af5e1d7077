/** Training from JPEGs on GPUs by the command line: what decodes them, what is said of it, and what becomes of failures. */
import './use_double.js';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { nativeIsPrepared } from '../../../src/backend/native/addon.js';
import { prepareDataset } from '../../../src/data/prepare.js';
import type { Diagnosis } from '../../../src/library/diagnose.js';
import type { MetricsEvent } from '../../../src/runs/metrics.js';
import type { Summary } from '../../../src/runs/summary.js';
import {
  newFolder,
  start,
  succeeds,
  TINY,
  twotower,
  type Outcome,
} from '../../commands/command_line.js';
import { OTHER, PLAIN, writeJpegFolder } from '../../data/jpeg_folders.js';

const skip = cudaIsPrepared() && nativeIsPrepared() ? false : 'the addons are not built here';
const double = process.env['TWOTOWER_CUDA']!;
const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]): string => join(folder, ...names);

const NEVER = { TWOTOWER_NVJPEG: 'never' };

/** Four steps per epoch. */
const IMAGES = 32;

const words = (data: string, out: string, epochs = 2): string[] => {
  const options = ['--config', TINY, '--data', data, '--out', at(out), '--gpus', '0'];
  return ['train', ...options, '--epochs', String(epochs)];
};

const train = (
  data: string,
  out: string,
  environment: Record<string, string> = {},
): Promise<Outcome> => twotower(words(data, out), { environment });

/** Its losses, of steps and of tests. */
function lossesOf(out: string): (number | null)[] {
  const lines = readFileSync(at(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as MetricsEvent);
  return events.map((event) => ('loss' in event ? event.loss : null));
}

const summaryOf = (out: string): Summary =>
  JSON.parse(readFileSync(at(out, 'summary.json'), 'utf8')) as Summary;

interface Count {
  created: number;
  destroyed: number;
}

/** What the double says that the process left behind. */
function leftBy(report: string): { bytes: number[]; nvjpeg: Count; others: Count[] } {
  const { devices, nvjpeg, hostMemory } = JSON.parse(readFileSync(report, 'utf8')) as {
    devices: { bytes: { live: number }; streams: Count }[];
    nvjpeg: Count;
    hostMemory: Count;
  };
  const bytes = devices.map((device) => device.bytes.live);
  return { bytes, nvjpeg, others: [hostMemory, ...devices.map(({ streams }) => streams)] };
}

function assertClean(report: string): void {
  const { bytes, nvjpeg, others } = leftBy(report);
  assert.ok(nvjpeg.created >= 2, 'nvJPEG was not used');
  assert.deepEqual(bytes, [0, 0]);
  for (const { created, destroyed } of [nvjpeg, ...others]) assert.equal(created, destroyed);
}

suite('training from JPEGs on a GPU', { skip }, async () => {
  const images = at('images');
  const shards = at('shards');
  const limits = { undecodableLimit: 0, imagesPerShard: 20, threads: 1 };
  await writeJpegFolder(images, IMAGES, { ...PLAIN, ...OTHER });
  await prepareDataset({ source: images, destination: shards, ...limits });
  await succeeds(words(images, 'by CPU'), { environment: NEVER });

  for (const [name, data] of [
    ['a folder', images],
    ['prepared shards', shards],
  ] as const) {
    test(`from ${name}, it has the losses that it has with the CPU's decoder`, async () => {
      const report = at(`${name}.json`);
      const { stdout, stderr, code } = await train(data, `${name} by nvJPEG`, {
        TWOTOWER_DOUBLE_REPORT: report,
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^JPEGs decoded by nvJPEG 13\.0 \(.*libnvjpeg\.so\.13\) on gpu:0$/m);
      assertClean(report);
      await train(data, `${name} by CPU`, NEVER);
      assert.deepEqual(lossesOf(`${name} by nvJPEG`), lossesOf(`${name} by CPU`));
      const { jpegDecoder, warnings } = summaryOf(`${name} by nvJPEG`);
      const file = join(double, 'libnvjpeg.so.13');
      assert.deepEqual(jpegDecoder, { name: 'nvJPEG', version: '13.0', file, gpus: [0] });
      assert.deepEqual(warnings, []);
    });
  }

  test('TWOTOWER_NVJPEG=never is no warning, and the CPU’s decoder is recorded', () => {
    const { jpegDecoder, warnings } = summaryOf('by CPU');
    assert.notEqual(jpegDecoder?.name, 'nvJPEG');
    assert.deepEqual(warnings, []);
  });

  test('doctor names nvJPEG and its file, or how to get it', async () => {
    const doctor = async (environment: Record<string, string>): Promise<Diagnosis> => {
      const { stdout } = await succeeds(['doctor', '--json'], { environment });
      return JSON.parse(stdout) as Diagnosis;
    };
    const { versions, cudaFiles } = await doctor({});
    assert.equal(versions.nvjpeg, '13.0');
    assert.equal(cudaFiles.at(-1), join(double, 'libnvjpeg.so.13'));
    const old = await doctor({ TWOTOWER_DOUBLE_NVJPEG: '12000' });
    assert.equal(old.versions.nvjpeg, null);
    assert.ok(old.missing.some((line) => line.startsWith('no nvJPEG, ')));
  });

  for (const { name, environment, warning } of [
    {
      name: 'nvJPEG is missing',
      environment: () => ({ TWOTOWER_CUDA: withoutNvJpeg() }),
      warning:
        /^no nvJPEG, so the CPU decodes JPEGs: libnvjpeg\.so\.13 was not found .*: pip install --user nvidia-nvjpeg brings it/,
    },
    {
      name: 'nvJPEG is too old',
      environment: () => ({ TWOTOWER_DOUBLE_NVJPEG: '12000' }),
      warning: /^no nvJPEG, .*libnvjpeg\.so\.13 has version 12\.0, and 12\.1 is needed: pip /,
    },
  ]) {
    test(`if ${name}, one line says so and the CPU decodes`, async () => {
      const { code, stderr } = await train(images, name, environment());
      assert.equal(code, 0, stderr);
      const { warnings } = summaryOf(name);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, warning);
      assert.deepEqual(lossesOf(name), lossesOf('by CPU'));
    });
  }

  test('what nvJPEG refuses, the CPU decodes', async () => {
    const environment = { TWOTOWER_DOUBLE_FAIL: 'nvjpegDecode:9:3' };
    const { code, stderr } = await train(images, 'refused', environment);
    assert.equal(code, 0, stderr);
    assert.deepEqual(lossesOf('refused'), lossesOf('by CPU'));
  });

  for (const { name, status, reason } of [
    { name: 'a failure of nvJPEG', status: 6, reason: 'nvjpegDecode failed: status 6' },
    { name: 'a full GPU', status: 5, reason: 'GPU 0 \\(Test GPU\\) is out of memory for nvJPEG' },
  ]) {
    test(`${name} ends the run in one line with the image and the remedy`, async () => {
      const environment = { TWOTOWER_DOUBLE_FAIL: `nvjpegDecode:5:${status}` };
      const { code, stderr } = await train(images, name, environment);
      assert.equal(code, 1);
      const line = new RegExp(
        `^twotower: nvJPEG failed on gpu:0 with .*\\.jpg: .*${reason}; TWOTOWER_NVJPEG=never lets the CPU decode`,
      );
      assert.match(stderr.trim().split('\n').at(-1)!, line);
    });
  }

  test('a run that is interrupted leaves nothing on the GPU', async () => {
    const report = at('interrupted.json');
    const { outcome } = start(words(images, 'interrupted', 1000), {
      environment: { TWOTOWER_DOUBLE_REPORT: report },
      whenPrinted: (line, process) => {
        if (/top-1/.test(line)) process.kill('SIGINT');
      },
    });
    const { stderr } = await outcome;
    assert.equal(summaryOf('interrupted').status, 'interrupted', stderr);
    assertClean(report);
  });

  test('a run that is resumed with another decoder says so', async () => {
    await succeeds([...words(images, 'resumed'), '--steps', '2']);
    const { stdout } = await succeeds(['train', '--resume', at('resumed'), '--steps', '4'], {
      environment: NEVER,
    });
    assert.match(
      stdout,
      /^changed decoder of JPEGs: nvJPEG 13\.0 → the CPU, whose pixels differ slightly$/m,
    );
  });
});

/** A folder with all libraries but nvJPEG. */
function withoutNvJpeg(): string {
  const path = at('without nvJPEG');
  mkdirSync(path);
  for (const name of ['libcuda.so.1', 'libnvrtc.so.13', 'libcublasLt.so.13', 'libcudnn.so.9'])
    symlinkSync(join(double, 'libtwotower_cuda_double.so'), join(path, name));
  return path;
}
