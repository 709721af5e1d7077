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
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { findCompiler } from '../../scripts/addons.mjs';
import {
  isLibtensorflow,
  libtensorflowReady,
  manylinuxTags,
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

test("pip is told of every manylinux tag that this host's C library can load", () => {
  const tags = manylinuxTags('2.28').filter((tag) => tag !== '--platform');
  for (const tag of ['manylinux2014', 'manylinux_2_17', 'manylinux_2_18', 'manylinux_2_25']) {
    assert.ok(tags.includes(`${tag}_x86_64`), tag);
  }
  assert.equal(tags[0], 'manylinux_2_28_x86_64');
});

const compiler = findCompiler(undefined);

/**
 * Libraries that stand in for those of the CUDA wheels, unpacked in `site-packages`: TensorFlow's opens cuBLAS when it is
 * asked to, and cuBLAS needs nvJitLink, each found relative to its own place, as the real ones are.
 *
 * @param {string} sitePackages
 */
function mockWheels(sitePackages) {
  /** @type {(source: string, file: string, ...flags: string[]) => void} */
  const build = (source, file, ...flags) => {
    mkdirSync(join(file, '..'), { recursive: true });
    const all = [
      '-shared',
      '-fPIC',
      '-Wl,--enable-new-dtags',
      '-x',
      'c++',
      '-',
      '-x',
      'none',
      ...flags,
      '-o',
      file,
    ];
    execFileSync(/** @type {string} */ (compiler), all, { input: source });
  };
  const inNvidia = (/** @type {string} */ name) => join(sitePackages, 'nvidia', name);
  build(
    'extern "C" int version() { return 12; }',
    inNvidia('nvjitlink/lib/libnvJitLink.so.12'),
    '-Wl,-soname,libnvJitLink.so.12',
  );
  build(
    'extern "C" int version(); extern "C" int cublas() { return version(); }',
    inNvidia('cublas/lib/libcublas.so.12'),
    inNvidia('nvjitlink/lib/libnvJitLink.so.12'),
    '-Wl,-soname,libcublas.so.12,-rpath,$ORIGIN/../../nvjitlink/lib',
  );
  build(
    '#include <dlfcn.h>\nextern "C" int finds() { return dlopen("libcublas.so.12", RTLD_NOW) != nullptr; }',
    join(sitePackages, 'tensorflow', 'libtensorflow_cc.so.2'),
    '-ldl',
    '-Wl,-rpath,$ORIGIN/../nvidia/cublas/lib',
  );
}

/** Whether the prepared TensorFlow opens cuBLAS. */
function findsCublas() {
  const program = join(scratch, 'finds');
  const source = `#include <dlfcn.h>
    int main(int, char** names) {
      void* library = dlopen(names[1], RTLD_NOW);
      return library && reinterpret_cast<int (*)()>(dlsym(library, "finds"))() ? 0 : 1;
    }`;
  execFileSync(/** @type {string} */ (compiler), ['-x', 'c++', '-', '-o', program, '-ldl'], {
    input: source,
  });
  try {
    execFileSync(program, [join(packageFolder, 'deps', 'lib', 'libtensorflow.so')]);
    return true;
  } catch {
    return false;
  }
}

suite("TensorFlow finds NVIDIA's libraries", { skip: compiler === undefined }, () => {
  beforeEach(() => mockWheels(scratch));

  test("in an unpacked wheel's folder", async () => {
    await prepare();
    assert.equal(findsCublas(), true);
  });

  test('in wheels that set-up unpacks', async () => {
    const wheel = join(scratch, 'all.whl');
    const zip = ['-m', 'zipfile', '-c', wheel, 'tensorflow', 'nvidia'];
    execFileSync('python3', zip, { cwd: scratch });
    environment['LIBTENSORFLOW'] = wheel;
    await prepare();
    rmSync(join(scratch, 'nvidia'), { recursive: true });
    assert.equal(findsCublas(), true);
  });
});
