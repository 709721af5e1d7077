import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import {
  isLibtensorflow,
  libtensorflowReady,
  prepareLibtensorflow,
  Unavailable,
} from '../../scripts/libtensorflow.mjs';

/** @type {string} */
let scratch;
/** @type {string} */
let packageFolder;
/** @type {string} */
let given;
/** @type {NodeJS.ProcessEnv} */
let environment;

// An unpacked wheel's tensorflow/ folder, with one line for each file, stands in for the real one.
beforeEach(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'twotower-')));
  packageFolder = join(scratch, 'package');
  given = join(scratch, 'tensorflow');
  mkdirSync(packageFolder);
  mkdirSync(join(given, 'include/tensorflow/c/eager'), { recursive: true });
  writeFileSync(join(given, 'include/tensorflow/c/eager/c_api.h'), 'header');
  writeFileSync(join(given, 'libtensorflow_cc.so.2'), 'library');
  writeFileSync(join(given, 'libtensorflow_framework.so.2'), 'framework');
  environment = { XDG_CACHE_HOME: join(scratch, 'cache'), LIBTENSORFLOW: given };
});

afterEach(() => rmSync(scratch, { recursive: true }));

const prepare = () => prepareLibtensorflow(packageFolder, environment, 'cpu');
const isReady = () => libtensorflowReady(packageFolder, environment, 'cpu');

test("an unpacked wheel's folder is linked under the names that the addon asks for", async () => {
  await prepare();
  const lib = join(packageFolder, 'deps', 'lib');
  assert.equal(readFileSync(join(lib, 'libtensorflow.so'), 'utf8'), 'library');
  assert.equal(readFileSync(join(lib, 'libtensorflow_framework.so'), 'utf8'), 'framework');
});

test('what is prepared is not prepared again', async () => {
  await prepare();
  assert.equal(isReady(), true);
});

test('a prepared folder that lost a file is made anew', async () => {
  await prepare();
  const [folder] = readdirSync(join(scratch, 'cache/twotower'));
  rmSync(join(scratch, 'cache/twotower', folder ?? '', 'lib/libtensorflow.so'));
  assert.equal(isReady(), false);
  await prepare();
  assert.equal(isReady(), true);
});

test('what an interrupted preparation left is removed', async () => {
  await prepare();
  const [folder] = readdirSync(join(scratch, 'cache/twotower'));
  const cache = join(scratch, 'cache/twotower');
  rmSync(join(cache, folder ?? ''), { recursive: true });
  // No process has this number: the limit is 2²².
  mkdirSync(join(cache, `${folder}.partial-99999999`));
  await prepare();
  assert.deepEqual(readdirSync(cache), [folder]);
});

test('another given folder replaces the one before', async () => {
  await prepare();
  utimesSync(given, 1, 1);
  assert.equal(isReady(), false);
});

test('a given folder that is not there is named', async () => {
  environment['LIBTENSORFLOW'] = join(scratch, 'absent');
  await assert.rejects(prepare(), (error) => {
    assert.ok(error instanceof Unavailable);
    return /LIBTENSORFLOW names .*absent/.test(error.message);
  });
});

test('a given folder without the library leaves nothing behind', async () => {
  rmSync(join(given, 'libtensorflow_cc.so.2'));
  await assert.rejects(prepare(), Unavailable);
  assert.deepEqual(readdirSync(join(scratch, 'cache/twotower')), []);
  assert.equal(existsSync(join(packageFolder, 'deps')), false);
});

test('a folder without headers is not a library', () => {
  rmSync(join(given, 'include'), { recursive: true });
  assert.equal(isLibtensorflow(given), false);
});
