import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'twotower-'));
after(() => rmSync(folder, { recursive: true }));

/** In place of the command: prints its number and arguments; asked to end, it takes a moment to save. */
const COMMAND = `
  const going = setInterval(() => {}, 1000);
  process.on('SIGTERM', () => {
    clearInterval(going);
    setTimeout(() => {
      console.log('saved');
      process.exitCode = 143;
    }, 100);
  });
  console.log(JSON.stringify({ pid: process.pid, words: process.argv.slice(2) }));
`;

const skip = process.platform === 'win32' ? 'Windows has no SIGTERM' : false;

test('npm start that is asked to end waits until the command has saved', { skip }, async () => {
  const { scripts } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  mkdirSync(join(folder, 'scripts'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts }));
  writeFileSync(join(folder, 'scripts', 'twotower.mjs'), COMMAND);
  const words = ['train', '--out', "a b'c"];
  const npm = spawn('npm', ['start', '--silent', '--', ...words], { cwd: folder });
  npm.stdout.setEncoding('utf8');
  const closed = once(npm, 'close');
  const [first] = await once(npm.stdout, 'data');
  const command = JSON.parse(first);
  assert.deepEqual(command.words, words);
  let rest = '';
  npm.stdout.on('data', (text) => (rest += text));
  npm.kill('SIGTERM');
  await once(npm, 'exit');
  assert.ok(!endedNow(command.pid), 'npm left the command behind');
  const [code] = await closed;
  assert.deepEqual([rest, code], ['saved\n', 143]);
});

/**
 * Ends a process; false if it had ended.
 * @param {number} pid
 */
function endedNow(pid) {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
