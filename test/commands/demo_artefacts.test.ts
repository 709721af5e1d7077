/** Every file that people look at or take elsewhere, from one run of `demo` and the command line alone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import type { Prediction } from 'twotower';
import { readSafetensors } from '../../src/runs/safetensors.js';
import { computeInNode } from '../library/graph_models.js';
import type { Pixels } from '../library/graph_models.js';
import { readEventFile } from '../report/event_reader.js';
import { readTrace } from '../report/trace_reader.js';
import { newFolder, succeeds } from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]): string => join(folder, ...names);
const twotower = (...words: string[]) => succeeds(words, { cwd: folder });

suite('one run of demo gives', () => {
  before(() =>
    twotower(
      'train',
      '--preset',
      'demo',
      '--cpu',
      '2',
      '--steps',
      '20',
      '--test-limit',
      '64',
      '--out',
      'demo',
      '--trace',
      'trace.json',
    ),
  );

  test('a trace with both ranks', () => {
    const tracks = new Set(readTrace(at('trace.json')).map(({ track }) => track));
    assert.ok(tracks.has('rank 0') && tracks.has('rank 1'));
  });

  test('TensorBoard events with the loss of each step', () => {
    const [file] = readdirSync(at('demo', 'tensorboard'));
    const events = readEventFile(at('demo', 'tensorboard', file!));
    assert.equal(events.filter(({ scalars }) => scalars.has('train/loss')).length, 20);
    assert.ok(events.some(({ images }) => images.size > 0));
  });

  test('a picture of its kernels', async () => {
    await twotower('visualize', 'demo');
    assert.equal((await sharp(at('demo', 'kernels.png')).metadata()).format, 'png');
  });

  test('a report with curves, kernels, confusion and the parts of a step', async () => {
    await twotower('report', 'demo');
    const page = readFileSync(at('demo', 'report.html'), 'utf8');
    for (const heading of [
      'Curves',
      'First-layer kernels',
      'Confusion matrix',
      'Where the time of a step goes',
    ]) {
      assert.ok(page.includes(heading), heading);
    }
  });

  test('a report of its placements', async () => {
    const compare = ['compare', '--config', 'demo/config.json', '--cpu', '2', '--steps', '2'];
    await twotower(...compare, '--report', 'timings.html');
    assert.match(readFileSync(at('timings.html'), 'utf8'), /split[^]*grouped[^]*dense/);
  });

  test('a state_dict that comes back as the same parameters', async () => {
    await twotower('export', 'demo', 'demo.safetensors');
    await twotower('import', 'demo.safetensors', '--preset', 'demo', '--out', 'back');
    await twotower('export', 'back', 'back.safetensors');
    assert.deepEqual(
      readSafetensors(at('back.safetensors')),
      readSafetensors(at('demo.safetensors')),
    );
  });

  test('an ONNX model, for one image and for any number', async () => {
    await twotower('export', 'demo', 'one.onnx', '--format', 'onnx');
    await twotower('export', 'demo', 'any.onnx', '--format', 'onnx', '--batch', 'dynamic');
    const bytes = readFileSync(at('any.onnx'));
    assert.ok(bytes.includes('LRN') && bytes.includes('Conv') && bytes.includes('batch'));
    assert.ok(!bytes.equals(readFileSync(at('one.onnx'))));
  });

  test('a TensorFlow.js model with the probabilities that predict prints', async () => {
    const data = randomBytes(32 * 32 * 3);
    await sharp(data, { raw: { width: 32, height: 32, channels: 3 } }).toFile(at('noise.png'));
    await twotower('export', 'demo', 'demo-tfjs', '--format', 'tfjs');
    const pixels = { shape: [1, 32, 32, 3] as Pixels['shape'], data: Float32Array.from(data) };
    const { probabilities } = await computeInNode('wasm', at('demo-tfjs'), pixels);
    const { stdout } = await twotower('predict', 'demo', 'noise.png', '--cpu', '1', '--json');
    const [{ top }] = JSON.parse(stdout) as [Prediction];
    for (const { label, probability } of top) {
      assert.ok(Math.abs(probabilities[label]! - probability) < 1e-4, `class ${label}`);
    }
  });

  test('the five most probable classes of a picture', async () => {
    const { stdout } = await twotower('predict', 'demo', join('demo', 'kernels.png'), '--cpu', '1');
    assert.equal(stdout.match(/\d %/g)?.length, 5, stdout);
  });
});
