import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { findOneDnn, isOneDnn } from '../../scripts/onednn.mjs';

/** @type {string} */
let root;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twotower-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/**
 * @param {string} folder
 * @param {number} major
 * @param {number} minor
 */
function layOut(folder, major, minor) {
  const files = {
    'include/oneapi/dnnl/dnnl_version.h': `#define DNNL_VERSION_MAJOR ${major}\n#define DNNL_VERSION_MINOR ${minor}\n`,
    'lib/libdnnl.so': '',
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return { include: join(folder, 'include'), library: join(folder, 'lib') };
}

for (const [major, minor, good] of /** @type {[number, number, boolean][]} */ ([
  [2, 5, false],
  [2, 6, true],
  [3, 0, true],
  [3, 11, true],
  [4, 0, false],
])) {
  test(`oneDNN ${major}.${minor} is ${good ? 'taken' : 'left alone'}`, () => {
    assert.equal(isOneDnn(layOut(root, major, minor)), good);
  });
}

test('headers without the library are not oneDNN', () => {
  const folders = layOut(root, 3, 0);
  rmSync(join(root, 'lib/libdnnl.so'));
  assert.equal(isOneDnn(folders), false);
});

test('what was prepared is found again', () => {
  layOut(join(root, 'twotower', 'onednn'), 2, 6);
  const found = findOneDnn({ XDG_CACHE_HOME: root });
  assert.notEqual(found, undefined);
});
