import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { attemptOf } from '../../scripts/attempt.mjs';

const skip = process.platform === 'linux' ? false : 'parts are prepared on Linux only';

/** @type {string} */
let folder;
/** @type {import('../../scripts/attempt.mjs').Part} */
let part;
/** How often it was tried. */
let tries = 0;
let compiler = 'g++';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twotower-'));
  part = {
    without: 'a test: no part',
    isReady: () => false,
    addon: join(folder, 'part.node'),
    record: join(folder, 'build', '.unavailable'),
    circumstances: () => [compiler],
    prepare: async () => {
      tries++;
      throw new Error('the library is missing\nand more');
    },
  };
  writeFileSync(part.addon, 'of before');
  tries = 0;
});
afterEach(() => rmSync(folder, { recursive: true }));

/** @param {boolean} [retry] */
async function attempt(retry = false) {
  const { isDone, take } = attemptOf(part, retry);
  if (!isDone()) await take();
}

test('where a part cannot be prepared, its addon of before is removed', { skip }, async () => {
  await attempt();
  assert.equal(existsSync(part.addon), false);
});

test('an addon beside the reason why there is none is removed', { skip }, async () => {
  await attempt();
  writeFileSync(part.addon, 'of an older set-up');
  await attempt();
  assert.equal(existsSync(part.addon), false);
});

test('the first line of the reason is kept', { skip }, async () => {
  await attempt();
  assert.equal(JSON.parse(readFileSync(part.record, 'utf8')).reason, 'the library is missing');
});

test('what failed is tried again when asked to, or when something changed', { skip }, async () => {
  await attempt();
  await attempt();
  assert.equal(tries, 1);
  await attempt(true);
  assert.equal(tries, 2);
  compiler = 'clang++';
  await attempt();
  assert.equal(tries, 3);
});

test('where nothing can be written, nothing is tried and set-up goes on', async () => {
  writeFileSync(join(folder, 'build'), 'a file where the folder would be');
  await attempt();
  assert.equal(tries, 0);
});
