import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import type { Prediction } from '../../src/library/predict.js';
import { newFolder, succeeds, TINY, twotower, writeTinyImages } from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

suite('predict', () => {
  before(async () => {
    const data = writeTinyImages(join(folder, 'data'));
    const train = ['train', '--config', TINY, '--data', data, '--cpu', '1', '--towers', '2'];
    const limits = ['--steps', '1', '--test-limit', '4', '--out', 'run'];
    const view = ['--set', 'data.view={"type":"crop","from":40}', '--set', 'data.mean=channel'];
    await succeeds([...train, ...limits, ...view], { cwd: folder });
    // What was trained on may be gone by now.
    rmSync(data, { recursive: true });
    for (const [name, background] of [
      ['red.png', '#ff0000'],
      ['blue.jpg', '#0000ff'],
    ] as const) {
      const image = sharp({ create: { width: 50, height: 44, channels: 3, background } });
      await image.toFile(join(folder, name));
    }
  });

  test('gives each image its five most probable classes, in ten crops too', async () => {
    const images = ['red.png', 'blue.jpg'];
    const options = ['--cpu', '1', '--crops', '10', '--json'];
    const { stdout } = await succeeds(['predict', 'run', ...images, ...options], { cwd: folder });
    const predictions = JSON.parse(stdout) as Prediction[];
    assert.deepEqual(
      predictions.map(({ file }) => file),
      images,
    );
    for (const { top } of predictions) {
      const probabilities = top.map(({ probability }) => probability);
      assert.equal(top.length, 5);
      assert.deepEqual(
        probabilities,
        probabilities.toSorted((a, b) => b - a),
      );
      assert.ok(probabilities.every((value) => value > 0 && value < 1));
    }
    assert.notDeepEqual(predictions[0]!.top, predictions[1]!.top);
  });

  test('names a file that is no image, and judges the others', async () => {
    writeFileSync(join(folder, 'note.txt'), 'no image');
    const files = ['note.txt', 'red.png'];
    const { code, stderr, stdout } = await twotower(['predict', 'run', ...files, '--cpu', '1'], {
      cwd: folder,
    });
    assert.equal(code, 1);
    assert.match(stdout, /red\.png +probability/);
    assert.match(stderr, /^note\.txt cannot be decoded \(it does not begin like JPEG, [^\n]*\)\n$/);
  });
});
