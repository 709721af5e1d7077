import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { lockRun, refuseLocked } from '../src/folder_lock.js';
import { temporaryFolder } from './runs/temporary.js';

/** A folder with a lock of that text, or as this process would write it, with changes. */
function lockedFolder(context: TestContext, changes: object | string): string {
  const folder = temporaryFolder(context);
  const { release } = lockRun(folder);
  const own = JSON.parse(readFileSync(join(folder, 'lock'), 'utf8')) as object;
  release();
  const text = typeof changes === 'string' ? changes : JSON.stringify({ ...own, ...changes });
  writeFileSync(join(folder, 'lock'), text);
  return folder;
}

/** No process has such a number: Linux counts to 2²² at most. */
const NO_PROCESS = 2 ** 22 + 1;

suite('the lock of a run', () => {
  test('keeps a second run out, names the process, and goes with its holder', (context) => {
    const folder = temporaryFolder(context);
    const { takenOver, release } = lockRun(folder);
    assert.equal(takenOver, undefined);
    assert.throws(() => lockRun(folder), {
      name: 'UserError',
      message: new RegExp(`^process ${process.pid} trains in `),
    });
    release();
    assert.equal(existsSync(join(folder, 'lock')), false);
    lockRun(folder).release();
  });

  test('of a process that has ended is taken over, and that is said', (context) => {
    const folder = lockedFolder(context, { pid: NO_PROCESS });
    const { takenOver } = lockRun(folder);
    assert.match(takenOver!, new RegExp(`^process ${NO_PROCESS}, which trained in .* has ended`));
    assert.match(readFileSync(join(folder, 'lock'), 'utf8'), new RegExp(`"pid":${process.pid}`));
  });

  test('of an earlier process with a number that is in use again is stale', (context) => {
    if (!existsSync('/proc/self/stat'))
      return context.skip('only Linux tells when a process began');
    assert.ok(lockRun(lockedFolder(context, { started: '1' })).takenOver !== undefined);
  });

  test('of another host is honoured, with the remedy', (context) => {
    const folder = lockedFolder(context, { pid: NO_PROCESS, host: `not ${hostname()}` });
    assert.throws(() => lockRun(folder), {
      name: 'UserError',
      message: /if it has, remove .*lock/,
    });
    assert.throws(() => refuseLocked(folder), { name: 'UserError' });
  });

  test('that was never written whole is not taken from one who writes it now', (context) => {
    assert.throws(() => lockRun(lockedFolder(context, '')), /another process begins to train/);
    assert.ok(lockRun(lockedFolder(context, 'no lock')).takenOver !== undefined);
  });

  test('of another process is not removed by a late release', (context) => {
    const folder = temporaryFolder(context);
    const { release } = lockRun(folder);
    writeFileSync(join(folder, 'lock'), 'another’s');
    release();
    assert.equal(existsSync(join(folder, 'lock')), true);
  });
});
