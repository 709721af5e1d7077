/** The commands of docs/recipes.md that fine-tune a network, on a few images and for a few steps. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { loadRun } from 'twotower';
import { writeImageFolder } from '../data/image_folders.js';
import { blocksOf, readPage, ROOT } from './markdown.js';

const folder = mkdtempSync(join(tmpdir(), 'twotower-fine-tuning-'));
after(() => rmSync(folder, { recursive: true }));

function commands(): string {
  const part = readPage('docs/recipes.md').split('\n## Fine-tuning\n')[1]!;
  const [block] = blocksOf(part);
  return block!.text;
}

function parametersOf(run: string): Map<string, Float32Array> {
  const { model } = loadRun(join(folder, 'runs', run)).loadCheckpoint();
  return new Map([...model].map(([name, { data }]) => [name, data]));
}

suite("the page's fine-tuning", () => {
  before(async () => {
    await writeImageFolder(join(folder, 'photos'), 40, 4);
    const program = `${process.execPath} ${join(ROOT, 'dist', 'src', 'cli.js')} train --steps 4 --test-limit 8`;
    const script = commands().replaceAll('npm start -- train', program);
    execFileSync('bash', ['-ec', script], { cwd: folder, stdio: 'pipe' });
  });

  test('has the number of classes of the new images', () => {
    const { configuration } = loadRun(join(folder, 'runs', 'tuned'));
    assert.equal(configuration.data.classes, 2);
    assert.equal(parametersOf('source').get('fc2.bias')!.length, 10);
    assert.equal(parametersOf('tuned').get('fc2.bias')!.length, 2);
  });

  test('leaves the frozen layer as the source has it, to the bit, and changes the others', () => {
    const [source, tuned] = [parametersOf('source'), parametersOf('tuned')];
    for (const name of ['conv1.weight', 'conv1.bias']) {
      assert.deepEqual(tuned.get(name), source.get(name), name);
    }
    for (const name of ['conv2.weight', 'conv3.weight', 'fc1.weight']) {
      assert.notDeepEqual(tuned.get(name), source.get(name), name);
    }
  });

  test('moves a layer of a tenth of the rate by less than one of the whole', () => {
    const [source, tuned] = [parametersOf('source'), parametersOf('tuned')];
    const change = (name: string): number => {
      const [before, after] = [source.get(name)!, tuned.get(name)!];
      const squares = before.reduce((sum, value, at) => sum + (after[at]! - value) ** 2, 0);
      return Math.sqrt(squares / before.length);
    };
    assert.ok(change('conv2.weight') < change('conv3.weight') / 2);
  });
});
