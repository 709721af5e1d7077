import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { withLock } from '../../scripts/lock.mjs';

/** @type {string} */
let folder;
/** @type {string} */
let file;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twotower-'));
  file = join(folder, 'lock');
});
afterEach(() => {
  mock.restoreAll();
  rmSync(folder, { recursive: true });
});

test('two that want a lock have it one after the other, and the second says that it waits', async () => {
  /** @type {string[]} */
  const course = [];
  /** @type {() => void} */
  let secondWaits = () => {};
  const firstMayEnd = new Promise((resolve) => (secondWaits = () => resolve(undefined)));
  mock.method(process.stderr, 'write', (/** @type {string} */ line) => {
    course.push(line);
    secondWaits();
  });
  const first = withLock(file, async () => {
    course.push('first begins');
    await firstMayEnd;
    course.push('first ends');
  });
  const second = withLock(file, async () => course.push('second'));
  await Promise.all([first, second]);
  assert.deepEqual(course, [
    `twotower set-up: another set-up is running (${file}): waiting for it to finish\n`,
    'first begins',
    'first ends',
    'second',
  ]);
});

test('a lock is given back when the work fails', async () => {
  const failing = withLock(file, () => Promise.reject(new Error('no room')));
  await assert.rejects(failing, /no room/);
  assert.deepEqual(readdirSync(folder), []);
});

test('a lock is given back by a process that exits at work', () => {
  const program = `
    const { withLock } = await import(${JSON.stringify(new URL('../../scripts/lock.mjs', import.meta.url).href)});
    await withLock(${JSON.stringify(file)}, async () => process.exit(3));`;
  const { status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program]);
  assert.deepEqual([status, readdirSync(folder)], [3, []]);
});

test('the lock of a process that was killed is taken over', async () => {
  const program = `
    const { withLock } = await import(${JSON.stringify(new URL('../../scripts/lock.mjs', import.meta.url).href)});
    await withLock(${JSON.stringify(file)}, async () => process.kill(process.pid, 'SIGKILL'));`;
  spawnSync(process.execPath, ['--input-type=module', '--eval', program]);
  assert.ok(existsSync(file));
  assert.equal(await withLock(file, async () => 'done'), 'done');
});

test('a lock of elsewhere is taken over once it has not been touched for a minute', async () => {
  writeFileSync(file, JSON.stringify({ process: process.pid, place: 'another host', token: '' }));
  const old = new Date(Date.now() - 61_000);
  utimesSync(file, old, old);
  assert.equal(await withLock(file, async () => 'done'), 'done');
});

test('where no lock can be written, the work is done without', async () => {
  writeFileSync(join(folder, 'a file'), '');
  const work = withLock(join(folder, 'a file', 'lock'), async () => 'done');
  assert.equal(await work, 'done');
});
