import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openRunFolder } from '../../src/runs/layout.js';
import { readMetrics } from '../../src/runs/metrics_log.js';
import { readSummary } from '../../src/runs/summary.js';
import {
  newFolder,
  succeeds,
  TINY,
  twotower,
  writeTinyImages,
  type Outcome,
} from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const run = (name: string): string => join(folder, name);
const model = (name: string): string => join(run(name), 'checkpoints/step-32/model.safetensors');

/** Step and loss of every event: what the clock measures differs from run to run. */
function course(name: string): unknown[] {
  return readMetrics(openRunFolder(run(name))).map((event) =>
    event.event === 'skip' ? event : [event.event, event.step, event.loss],
  );
}

suite('a run whose latest checkpoint is damaged', () => {
  before(async () => {
    const options = ['--data', data, '--cpu', '2', '--checkpoint-every', '15'];
    await succeeds(['train', '--config', TINY, '--out', run('whole'), ...options]);
    cpSync(run('whole'), run('damaged'), { recursive: true });
    const bytes = readFileSync(model('damaged'));
    // The last byte: of the last parameter, so that only a checksum can tell.
    bytes[bytes.length - 1] = bytes[bytes.length - 1]! ^ 1;
    writeFileSync(model('damaged'), bytes);
  });

  const readers: Record<string, string[]> = {
    evaluate: ['evaluate', run('damaged'), '--cpu', '1'],
    export: ['export', run('damaged'), join(folder, 'exported.safetensors')],
    visualize: ['visualize', run('damaged'), '--predictions', '--cpu', '1'],
    'train --init': ['train', '--config', TINY, '--data', data, '--init', model('damaged')],
    import: ['import', model('damaged'), '--config', TINY, '--out', join(folder, 'imported')],
  };
  for (const [name, command] of Object.entries(readers)) {
    test(`is refused by ${name} in one line that names the file`, async () => {
      const { code, stderr } = await twotower(command, { cwd: folder });
      assert.equal(code, 1);
      const lines = stderr.trim().split('\n');
      assert.equal(lines.length, 1, stderr);
      assert.ok(
        lines[0]!.startsWith(`twotower: ${model('damaged')} is damaged: its SHA-256`),
        stderr,
      );
    });
  }

  suite('resumed', () => {
    let resumed: Outcome;
    before(async () => {
      resumed = await succeeds(['train', '--resume', run('damaged'), '--cpu', '2']);
    });

    test('goes on from the last whole one and says so, once and in its summary', () => {
      const warning = new RegExp(
        `^${model('damaged')} is damaged: .*; continuing from step 30, the last whole checkpoint`,
      );
      const warned = resumed.stderr.match(/^warning: .*$/gm)!.map((line) => line.slice(9));
      assert.equal(warned.filter((line) => warning.test(line)).length, 1, resumed.stderr);
      const { warnings } = readSummary(openRunFolder(run('damaged')));
      assert.equal(warnings.filter((line) => warning.test(line)).length, 1);
    });

    test('ends with the parameters and losses of the undamaged run, to the bit', () => {
      assert.ok(readFileSync(model('damaged')).equals(readFileSync(model('whole'))));
      assert.deepEqual(course('damaged'), course('whole'));
    });

    test('keeps the damaged one under a name of its own', () => {
      assert.ok(existsSync(join(run('damaged'), 'checkpoints/step-32.damaged')));
    });
  });
});
