import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { BACKEND_NAMES } from '../src/backend/backend.js';
import { COMMANDS, commandLineOf } from '../src/commands/command_line.js';
import { presetNames } from '../src/configuration.js';
import { openRunFolder } from '../src/runs/layout.js';
import { readSummary } from '../src/runs/summary.js';
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
  // As by SIGTERM.
  assert.equal(code, 143, stderr);
  assert.doesNotMatch(stderr, /EPIPE|\n {4}at /);
  assert.equal(readSummary(openRunFolder(out)).status, 'interrupted');
});

const NO_FULL_DISK = existsSync('/dev/full') ? false : '/dev/full is Linux’s';

test(
  'a command whose output is a file on a full disk says so, saves and ends',
  { skip: NO_FULL_DISK },
  async () => {
    const out = join(folder, 'full');
    const data = writeTinyImages(join(folder, 'data'));
    const options = ['--data', data, '--cpu', '1', '--out', out];
    const { outcome } = start(['train', '--config', TINY, ...options], { stdoutFile: '/dev/full' });
    const { code, stderr } = await outcome;
    assert.equal(code, 143, stderr);
    assert.match(stderr, /^twotower: the output cannot be written: ENOSPC: no space left/m);
    assert.doesNotMatch(stderr, /\n {4}at /);
    assert.equal(readSummary(openRunFolder(out)).status, 'interrupted');
  },
);

test('the help of every command shows two ways to call it', async () => {
  for (const name of COMMANDS.map((command) => command.name)) {
    const help = await (await commandLineOf([name])).getHelp();
    const examples = help.split(/^Examples:$/m)[1] ?? '';
    const calls = examples.match(new RegExp(`^ {2}twotower ${name}\\b`, 'gm')) ?? [];
    assert.ok(calls.length >= 2, `${name}: ${calls.length} examples`);
  }
});

suite('a shell that completes', () => {
  async function offered(...words: string[]): Promise<string[]> {
    const { stdout } = await succeeds(['--get-yargs-completions', 'twotower', ...words], {
      cwd: folder,
      environment: { SHELL: '/bin/bash' },
    });
    return stdout.split('\n').slice(0, -1);
  }

  test('is offered commands, then the options of the one that is there', async () => {
    assert.ok((await offered('tr')).includes('train'));
    assert.ok((await offered('train', '--ba')).includes('--backend'));
  });

  test('is offered presets and the choices of an option', async () => {
    assert.deepEqual(await offered('train', '--preset', ''), presetNames());
    assert.deepEqual(await offered('train', '--backend', ''), [...BACKEND_NAMES]);
  });

  test('is offered the run folders that are there', async () => {
    const run = join('runs', 'some');
    mkdirSync(join(folder, run), { recursive: true });
    mkdirSync(join(folder, 'runs', 'no-run'), { recursive: true });
    writeFileSync(join(folder, run, 'config.json'), '{}');
    assert.deepEqual(await offered('train', '--resume', ''), [run]);
    assert.deepEqual(await offered('evaluate', 'ru'), [run]);
  });

  for (const [shell, registers] of [
    ['bash', /^complete .* twotower$/m],
    ['zsh', /^ *compdef .* twotower$/m],
  ] as const) {
    test(`is taught by a script for ${shell}`, async () => {
      const { stdout } = await succeeds(['completion'], {
        environment: { SHELL: `/bin/${shell}` },
      });
      assert.match(stdout, registers);
      assert.match(stdout, /twotower --get-yargs-completions/);
    });
  }
});

for (const columns of [50, 200]) {
  test(`the help of train fits a terminal of ${columns} columns, at most 100, in groups`, async () => {
    const environment = { COLUMNS: `${columns}` };
    const { stdout, stderr } = await succeeds(['train', '--help'], { environment });
    const widest = Math.max(...stdout.split('\n').map((line) => line.length));
    assert.ok(widest <= Math.min(columns, 100), `${widest} columns`);
    const groups = ['Recipe:', 'Devices:', 'Run:', 'Output:', 'Options:', 'Examples:'];
    assert.deepEqual(stdout.match(/^[A-Z]\w+:$/gm), groups);
    // Values are taken as text whatever they are; that is not for a reader of the help.
    assert.doesNotMatch(stdout, /\[string\]/);
    assert.equal(stderr, '');
  });
}
