import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { run } from '../../scripts/subprocess.mjs';

/** @param {string} output */
const failing = (output) => [
  '-e',
  `process.stderr.write(${JSON.stringify(output)}); process.exit(3)`,
];

for (const [which, output, cause] of /** @type {[string, string, string]} */ ([
  [
    'first error',
    'a.cc: note\nx.h: fatal error: none\ncompilation terminated.\n',
    'x.h: fatal error: none',
  ],
  ['last line where none is of an error', 'looking\nno room\n', 'no room'],
])) {
  for (const verbose of [false, true]) {
    test(`a program's failing names the ${which}, ${verbose ? 'shown' : 'kept quiet'}`, async () => {
      await assert.rejects(run(process.execPath, failing(output), { verbose }), ({ message }) => {
        assert.equal(message.split('\n')[0], `${process.execPath} ended with code 3: ${cause}`);
        return true;
      });
    });
  }
}

test('a program that fails without a word is named with its code', async () => {
  const failure = run(process.execPath, failing(''));
  await assert.rejects(failure, { message: `${process.execPath} ended with code 3` });
});

test('a program that a signal to set-up ended has not failed', async () => {
  const subprocess = new URL('../../scripts/subprocess.mjs', import.meta.url);
  const setUp = `
    import { endChildrenOnSignals, run } from ${JSON.stringify(subprocess.href)};
    endChildrenOnSignals();
    const program = 'process.stdout.write("started"); setInterval(() => {}, 1000)';
    run(process.execPath, ['-e', program], { verbose: true }).catch(() => process.exit(1));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', setUp]);
  await once(child.stderr, 'data');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'close'), [143, null]);
});
