import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { lockFolder, refuseLocked, refuseLost, LockLost } from '../src/folder_lock.js';
import { temporaryFolder } from './runs/temporary.js';

const lockOf = (folder: string): string => join(folder, 'lock');

/** Takes a lock that the end of the test gives back. */
function take(context: TestContext, folder: string, doing = 'trains in') {
  const lock = lockFolder(folder, doing);
  context.after(() => lock.release());
  return lock;
}

/** A folder with a lock of that text, or with changes to one of this process. */
function lockedFolder(context: TestContext, changes: object | string): string {
  const folder = temporaryFolder(context);
  const lock = lockFolder(folder, 'trains in');
  const own = JSON.parse(lock.held.text) as object;
  lock.release();
  const text = typeof changes === 'string' ? changes : JSON.stringify({ ...own, ...changes });
  writeFileSync(lockOf(folder), text);
  return folder;
}

/** Sets the lock's last heartbeat, seconds ago. */
function lastBeat(folder: string, secondsAgo: number): void {
  const then = Date.now() / 1000 - secondsAgo;
  utimesSync(lockOf(folder), then, then);
}

/** No process has such a number: Linux counts to 2²² at most. */
const NO_PROCESS = 2 ** 22 + 1;

suite('the lock of a folder', () => {
  test('keeps others out, names its process, and goes with it', (context) => {
    const folder = temporaryFolder(context);
    const lock = lockFolder(folder, 'trains in');
    assert.equal(lock.takenOver, undefined);
    assert.throws(() => lockFolder(folder, 'trains in'), {
      name: 'UserError',
      message: `process ${process.pid} trains in ${folder}: wait for it to finish, or stop it`,
    });
    lock.release();
    assert.deepEqual(readdirSync(folder), []);
  });

  test('names what is done in the folder', (context) => {
    const folder = temporaryFolder(context);
    take(context, folder);
    assert.throws(() => lockFolder(folder, 'prepares'), { message: /^process \d+ prepares / });
  });

  test('does not refuse its own process a second look', (context) => {
    const folder = temporaryFolder(context);
    take(context, folder);
    assert.doesNotThrow(() => refuseLocked(folder, 'trains in'));
  });

  test('of another process is not removed by a late release', (context) => {
    const folder = temporaryFolder(context);
    const lock = lockFolder(folder, 'trains in');
    writeFileSync(lockOf(folder), 'another’s');
    lock.release();
    assert.equal(existsSync(lockOf(folder)), true);
  });
});

suite('a lock of this machine', () => {
  test('is stale as soon as its process has ended', (context) => {
    const folder = lockedFolder(context, { pid: NO_PROCESS });
    assert.equal(
      take(context, folder).takenOver,
      `process ${NO_PROCESS} held the lock of ${folder} and has ended without releasing it`,
    );
    assert.match(readFileSync(lockOf(folder), 'utf8'), new RegExp(`"pid":${process.pid}`));
  });

  test('is honoured while its process runs, though that is too busy for heartbeats', (context) => {
    const folder = temporaryFolder(context);
    take(context, folder);
    lastBeat(folder, 3600);
    assert.throws(() => lockFolder(folder, 'trains in'), { name: 'UserError' });
  });

  test('is stale if its process number is in use again', (context) => {
    if (!existsSync('/proc/self/stat')) return context.skip('only Linux tells a process’s start');
    const folder = lockedFolder(context, { started: '1' });
    assert.notEqual(take(context, folder).takenOver, undefined);
  });
});

suite('a lock from elsewhere', () => {
  const elsewhere: [string, object, RegExp][] = [
    [
      'another host',
      { host: `not-${hostname()}` },
      new RegExp(`^process \\d+ on not-${hostname()} `),
    ],
    ['a container of the same host name', { pidNamespace: 'pid:[1]' }, /in another container /],
    ['an earlier boot', { boot: 'another' }, /^process \d+ /],
  ];
  for (const [where, changes, name] of elsewhere) {
    test(`of ${where} is honoured within a minute of its heartbeat`, (context) => {
      const folder = lockedFolder(context, changes);
      lastBeat(folder, 50);
      assert.throws(() => lockFolder(folder, 'trains in'), { name: 'UserError', message: name });
      assert.throws(() => refuseLocked(folder, 'trains in'), {
        message: /wait for it to finish; if it was stopped, try again in (9|10|11) s$/,
      });
      assert.deepEqual(readdirSync(folder), ['lock']);
    });

    test(`of ${where} is taken over after a minute without heartbeat`, (context) => {
      const folder = lockedFolder(context, changes);
      lastBeat(folder, 75);
      const { takenOver } = take(context, folder);
      assert.match(takenOver!, name);
      assert.match(takenOver!, /without a heartbeat for (75|76) s: it is taken over$/);
      assert.deepEqual(readdirSync(folder), ['lock']);
    });
  }

  test('of a real container is honoured, though its process number is free here', (context) => {
    const folder = temporaryFolder(context);
    const module = import.meta.resolve('../src/folder_lock.js');
    const code = `import { lockFolder } from ${JSON.stringify(module)}; lockFolder(${JSON.stringify(folder)}, 'trains in');`;
    const { status } = spawnSync('unshare', [
      ...['--pid', '--fork', '--mount-proc'],
      ...[process.execPath, '--input-type=module', '--eval', code],
    ]);
    if (status !== 0) return context.skip('no PID namespace may be made here');
    assert.throws(() => lockFolder(folder, 'trains in'), { message: /in another container / });
  });

  for (const text of ['', 'no lock']) {
    test(`that says "${text}" is being written, until a minute has passed`, (context) => {
      const folder = lockedFolder(context, text);
      assert.throws(() => lockFolder(folder, 'trains in'), { message: /^another process trains/ });
      lastBeat(folder, 61);
      assert.match(take(context, folder).takenOver!, /^another process held the lock/);
    });
  }
});

suite('a heartbeat', () => {
  test('renews the lock every ten seconds and changes nothing of it', (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const folder = temporaryFolder(context);
    const { held } = take(context, folder);
    lastBeat(folder, 3600);
    context.mock.timers.tick(10_000);
    assert.ok(Date.now() - statSync(lockOf(folder)).mtimeMs < 5000);
    assert.equal(readFileSync(lockOf(folder), 'utf8'), held.text);
  });

  test('that is overdue comes with the next check', (context) => {
    context.mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.now() });
    const folder = temporaryFolder(context);
    const lock = take(context, folder);
    lastBeat(folder, 3600);
    lock.check();
    assert.ok(Date.now() - statSync(lockOf(folder)).mtimeMs > 3_599_000);
    context.mock.timers.setTime(Date.now() + 10_001);
    lock.check();
    assert.ok(Date.now() - statSync(lockOf(folder)).mtimeMs < 60_000);
  });

  test('ends with the lock', (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const folder = temporaryFolder(context);
    const lock = lockFolder(folder, 'trains in');
    lock.release();
    const other = take(context, folder);
    lastBeat(folder, 3600);
    lock.check();
    assert.ok(Date.now() - statSync(lockOf(folder)).mtimeMs > 3_599_000);
    other.release();
  });
});

suite('a lock that was lost', () => {
  /** What the holder is told after something has happened to its folder. */
  function lossAfter(context: TestContext, happen: (folder: string) => void): unknown {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const folder = temporaryFolder(context);
    const lock = take(context, folder);
    happen(folder);
    assert.throws(() => refuseLost(lock.held), LockLost);
    context.mock.timers.tick(10_000);
    try {
      lock.check();
    } catch (error) {
      assert.ok(error instanceof LockLost);
      return error.message;
    }
    return undefined;
  }

  test('to another process names that', (context) => {
    const loss = lossAfter(context, (folder) => {
      const own = JSON.parse(readFileSync(lockOf(folder), 'utf8')) as object;
      const other = { ...own, token: '00', pid: 7, host: 'elsewhere' };
      writeFileSync(lockOf(folder), JSON.stringify(other));
    });
    assert.match(String(loss), /^process 7 on elsewhere has taken over /);
  });

  test('by deleting it says so', (context) => {
    const loss = lossAfter(context, (folder) => rmSync(lockOf(folder)));
    assert.match(String(loss), /^the lock of .* was deleted: nothing more is written to it$/);
  });

  test('with its folder says so', (context) => {
    const loss = lossAfter(context, (folder) => {
      renameSync(folder, `${folder}-moved`);
      context.after(() => rmSync(`${folder}-moved`, { recursive: true }));
    });
    assert.match(String(loss), /^the folder .* is gone: it was deleted or moved meanwhile$/);
  });
});
