import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addonsBuilt, placesIn } from '../../scripts/addons.mjs';
import {
  dependenciesInstalled,
  installTfjsNode,
  npm,
  removeUnused,
  tfjsNodeFolder,
} from '../../scripts/dependencies.mjs';
import { makeWhole } from '../../scripts/files.mjs';
import { buildTypescript, typescriptBuilt } from '../../scripts/typescript.mjs';

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** @type {string} */
let root;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twotower-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** @param {Record<string, string>} files */
function write(files) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

const LOCKED = { '': {}, 'node_modules/a': { version: '1.0.0' } };

for (const [name, platform, good] of /** @type {[string, object, boolean][]} */ ([
  ['of another system', { os: ['beos'] }, true],
  ['of another processor', { os: [process.platform], cpu: ['z80'] }, true],
  ['of another C library', { os: [process.platform], libc: ['newlib'] }, true],
  ['that comes with one of another platform', {}, true],
  ['of this platform', { os: [process.platform], cpu: [process.arch] }, false],
])) {
  test(`an optional package ${name} ${good ? 'need not be there' : 'is missing where it is not there'}`, () => {
    const optional = { version: '1.0.0', optional: true, ...platform };
    write({
      'package-lock.json': JSON.stringify({ packages: { ...LOCKED, 'node_modules/b': optional } }),
      'node_modules/.package-lock.json': JSON.stringify({ packages: LOCKED }),
    });
    assert.equal(dependenciesInstalled(root, true), good);
  });
}

test('a package of another version than locked is stale', () => {
  write({
    'package-lock.json': JSON.stringify({ packages: LOCKED }),
    'node_modules/.package-lock.json': JSON.stringify({
      packages: { 'node_modules/a': { version: '0.9.0' } },
    }),
  });
  assert.equal(dependenciesInstalled(root, true), false);
});

test('an installation that was cut off is stale', () => {
  write({ 'package-lock.json': JSON.stringify({ packages: LOCKED }), 'node_modules/a/x.js': '' });
  assert.equal(dependenciesInstalled(root, true), false);
});

test('development packages but the compiler need not be there for the program alone', () => {
  const development = { version: '1.0.0', dev: true };
  const compiler = { ...LOCKED, 'node_modules/esbuild': development };
  write({
    'package-lock.json': JSON.stringify({
      packages: { ...compiler, 'node_modules/b': development },
    }),
    'node_modules/.package-lock.json': JSON.stringify({ packages: compiler }),
  });
  assert.equal(dependenciesInstalled(root, false), true);
  assert.equal(dependenciesInstalled(root, true), false);
});

test('of the packages, what the program loads stays, and what it never loads goes', () => {
  const core = 'node_modules/@tensorflow/tfjs-core/dist';
  const loaded = [
    'node_modules/a/a_test.js',
    `${core}/tf-core.node.js`,
    `${core}/gradients/Abs_grad.js`,
  ];
  const unused = [
    'node_modules/a/a.js.map',
    `${core}/ops/abs_test.js`,
    `${core}/tf-core.es2017.min.js`,
    `${core}/tf-core.js`,
    `${core}/miniprogram/index.js`,
  ];
  write(Object.fromEntries([...loaded, ...unused].map((name) => [name, ''])));
  removeUnused(root);
  const left = [...loaded, ...unused].filter((name) => existsSync(join(root, name)));
  assert.deepEqual(left, loaded);
});

test('the package of the TensorFlow backend is found in the folder of packages that the project is in', () => {
  const project = join(root, 'node_modules/twotower');
  write({ 'node_modules/twotower/package.json': '{}' });
  assert.equal(tfjsNodeFolder(project), undefined);
  write({ 'node_modules/@tensorflow/tfjs-node-gpu/package.json': '{}' });
  assert.equal(tfjsNodeFolder(project), join(root, 'node_modules/@tensorflow/tfjs-node-gpu'));
});

test('an installed package leaves the package of the TensorFlow backend to its user, and names it', async () => {
  const peerDependencies = { '@tensorflow/tfjs-node-gpu': '1.2.3' };
  write({ 'package.json': JSON.stringify({ peerDependencies }) });
  await assert.rejects(
    installTfjsNode(root),
    /npm install --ignore-scripts @tensorflow\/tfjs-node-gpu@1\.2\.3$/,
  );
});

test('npm is the one that started set-up, where that was npm', () => {
  const script = '/usr/lib/node_modules/npm/bin/npm-cli.js';
  assert.deepEqual(npm({ npm_execpath: script }), [process.execPath, [script]]);
  assert.deepEqual(npm({ npm_execpath: '/usr/share/yarn/bin/yarn.js' }), ['npm', []]);
  assert.deepEqual(npm({}), ['npm', []]);
});

/** A project of a few sources, with this project's compiler. */
function writeProject() {
  const options = {
    rootDir: '.',
    outDir: 'dist',
    module: 'nodenext',
    types: [],
    declaration: true,
  };
  write({
    'tsconfig.json': JSON.stringify({ compilerOptions: options, include: ['src', 'test'] }),
    'src/a.ts': 'export const a = 1;',
    'test/a.test.ts': 'export const tested = 1;',
    'browser/tsconfig.json': JSON.stringify({ compilerOptions: { noEmit: true, types: [] } }),
    'browser/classify.ts': 'console.log(1);',
  });
  symlinkSync(join(PROJECT, 'node_modules'), join(root, 'node_modules'));
}

test('a build is stale when a source changes', async () => {
  writeProject();
  await buildTypescript(root, true);
  assert.equal(typescriptBuilt(root, true), true);
  utimesSync(join(root, 'src/a.ts'), 1, 1);
  assert.equal(typescriptBuilt(root, true), false);
});

test('the program alone is built without its tests and without a check of types', async () => {
  writeProject();
  write({ 'src/wrong.ts': 'export const wrong: string = 1;' });
  await buildTypescript(root, false);
  assert.equal(typescriptBuilt(root, false), true);
  assert.equal(typescriptBuilt(root, true), false);
  assert.equal(existsSync(join(root, 'dist/src/wrong.js')), true);
  assert.equal(existsSync(join(root, 'dist/test/a.test.js')), false);
});

test('an output that is missing is built again', async () => {
  writeProject();
  await buildTypescript(root, true);
  const outputs = ['dist/src/a.js', 'dist/browser/classify.js'].map((name) => join(root, name));
  rmSync(outputs[1]);
  assert.equal(typescriptBuilt(root, true), false);
  rmSync(outputs[0]);
  await buildTypescript(root, true);
  assert.deepEqual(outputs.map(existsSync), [true, true]);
});

test('the output of a source that is gone is removed', async () => {
  writeProject();
  await buildTypescript(root, true);
  rmSync(join(root, 'test/a.test.ts'));
  await buildTypescript(root, true);
  assert.equal(existsSync(join(root, 'dist/test/a.test.js')), false);
});

test('addons that are not there are stale', () => {
  write({ 'package.json': JSON.stringify({ binary: { napi_versions: [3, 8] } }) });
  assert.equal(addonsBuilt(PROJECT, root), false);
});

test('the addon lies where the package will look for it in every Node from 20', () => {
  write({ 'package.json': JSON.stringify({ binary: { napi_versions: [3, 8, 999] } }) });
  assert.equal(placesIn(root).binding, join(root, 'lib/napi-v8/tfjs_binding.node'));
});

test('a folder whose making fails is not there, and the one before stays', async () => {
  write({ 'made/file': 'before' });
  const failing = makeWhole(
    join(root, 'made'),
    () => false,
    () => {
      throw new Error('no room');
    },
  );
  await assert.rejects(failing, /no room/);
  assert.equal(existsSync(join(root, 'made/file')), true);
});

test('what an attempt that was cut off left beside a folder is removed', async () => {
  const leftover = `made.partial-${process.pid}`;
  write({ [`${leftover}/file`]: 'before' });
  await makeWhole(
    join(root, 'made'),
    () => false,
    () => undefined,
  );
  assert.equal(existsSync(join(root, 'made')), true);
  assert.equal(existsSync(join(root, leftover)), false);
});

test('a folder that two processes want is made once', async () => {
  let made = 0;
  const folder = join(root, 'made');
  const make = () =>
    makeWhole(
      folder,
      () => existsSync(folder),
      () => void made++,
    );
  await Promise.all([make(), make()]);
  assert.equal(made, 1);
});
