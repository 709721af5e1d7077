import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { findLibrary, LIBJPEG_TURBO, libraryUnder, ONEDNN } from '../../scripts/system_library.mjs';

/** @type {string} */
let root;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twotower-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/**
 * @param {string} folder
 * @param {Record<string, string>} files
 */
function layOut(folder, files) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/**
 * @param {number} major
 * @param {number} minor
 */
const oneDnn = (major, minor) => ({
  'include/oneapi/dnnl/dnnl_version.h': `#define DNNL_VERSION_MAJOR ${major}\n#define DNNL_VERSION_MINOR ${minor}\n`,
  'lib/libdnnl.so': '',
});

for (const [major, minor, good] of /** @type {[number, number, boolean][]} */ ([
  [2, 5, false],
  [2, 6, true],
  [3, 0, true],
  [3, 11, true],
  [4, 0, false],
])) {
  test(`oneDNN ${major}.${minor} is ${good ? 'taken' : 'left alone'}`, () => {
    layOut(root, oneDnn(major, minor));
    assert.equal(libraryUnder(root, ONEDNN) !== undefined, good);
  });
}

for (const [name, version, good] of /** @type {[string, string, boolean][]} */ ([
  ['libjpeg-turbo 2.0', '#define LIBJPEG_TURBO_VERSION  2.0.6', false],
  ['libjpeg-turbo 2.1', '#define LIBJPEG_TURBO_VERSION  2.1.5', true],
  ['libjpeg-turbo 3.1', '#define LIBJPEG_TURBO_VERSION 3.1.0', true],
  ['another libjpeg', '#define JPEG_LIB_VERSION 90', false],
])) {
  test(`${name} in Debian's folders is ${good ? 'taken' : 'left alone'}`, () => {
    layOut(root, {
      'include/x86_64-linux-gnu/jconfig.h': `${version}\n`,
      'lib/x86_64-linux-gnu/libjpeg.so': '',
    });
    assert.equal(libraryUnder(root, LIBJPEG_TURBO) !== undefined, good);
  });
}

test('libjpeg-turbo whose version stands in a header of its own, as in Fedora, is taken', () => {
  layOut(root, {
    'include/jconfig.h': '#include "jconfig-64.h"\n',
    'include/jconfig-64.h': '#define LIBJPEG_TURBO_VERSION 3.1.0\n',
    'lib64/libjpeg.so': '',
  });
  assert.notEqual(libraryUnder(root, LIBJPEG_TURBO), undefined);
});

test('headers without the library are not oneDNN', () => {
  layOut(root, oneDnn(3, 0));
  rmSync(join(root, 'lib/libdnnl.so'));
  assert.equal(libraryUnder(root, ONEDNN), undefined);
});

test('what was prepared is found again', () => {
  layOut(join(root, 'twotower', 'onednn'), oneDnn(2, 6));
  assert.notEqual(findLibrary(ONEDNN, { XDG_CACHE_HOME: root }), undefined);
});
