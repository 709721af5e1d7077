import assert from 'node:assert/strict';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, mock, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../scripts/cache.mjs';

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

afterEach(() => {
  mock.restoreAll();
  syncBuiltinESMExports();
});

/** @param {() => string} homedir */
function setHome(homedir) {
  mock.method(os, 'homedir', homedir);
  syncBuiltinESMExports();
}

test('what is fetched is kept in the home folder, or where XDG_CACHE_HOME says', () => {
  setHome(() => '/home/ada');
  assert.equal(cacheFolder('onednn', {}), '/home/ada/.cache/twotower/onednn');
  assert.equal(cacheFolder('onednn', { XDG_CACHE_HOME: '/big' }), '/big/twotower/onednn');
});

test('what is fetched is kept in the project where the user has no home', () => {
  setHome(() => {
    throw new Error('uv_os_homedir returned ENOENT');
  });
  assert.equal(cacheFolder('onednn', {}), join(PROJECT, '.cache/twotower/onednn'));
});
