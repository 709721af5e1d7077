import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openRunFolder, readSummary } from '../src/training/run_folder.js';
import { newFolder, start, succeeds, TINY, writeTinyImages } from './commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

test('a command whose reader goes, as head does, saves and ends without a stack trace', async () => {
  const out = join(folder, 'run');
  const data = writeTinyImages(join(folder, 'data'));
  const options = ['--data', data, '--cpu', '1', '--log-every', '1', '--out', out];
  const { outcome } = start(['train', '--config', TINY, ...options], {
    whenPrinted: (line, process) => {
      if (line.startsWith('epoch 1/2  batch  2/')) process.stdout!.destroy();
    },
  });
  const { code, stderr } = await outcome;
  assert.equal(code, 130, stderr);
  assert.doesNotMatch(stderr, /EPIPE|\n {4}at /);
  assert.equal(readSummary(openRunFolder(out)).status, 'interrupted');
});

for (const columns of [50, 200]) {
  test(`the help of train fits a terminal of ${columns} columns, at most 100, in groups`, async () => {
    const environment = { COLUMNS: `${columns}` };
    const { stdout, stderr } = await succeeds(['train', '--help'], { environment });
    const widest = Math.max(...stdout.split('\n').map((line) => line.length));
    assert.ok(widest <= Math.min(columns, 100), `${widest} columns`);
    const groups = ['Recipe:', 'Devices:', 'Run:', 'Output:', 'Options:'];
    assert.deepEqual(stdout.match(/^[A-Z]\w+:$/gm), groups);
    // Values are taken as text whatever they are; that is not for a reader of the help.
    assert.doesNotMatch(stdout, /\[string\]/);
    assert.equal(stderr, '');
  });
}
