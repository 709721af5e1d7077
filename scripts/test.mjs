/**
 * `npm test`: sets up, then runs all tests in dist/test and test/setup but those of many hosts, which have minutes of
 * their own: `npm run test:hosts`. With `npm test PATH…`, the tests in these files and folders.
 *
 * The files are listed because Node 20's runner takes no patterns, and because it would also run the workers in
 * a folder of tests.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string[]} programArguments */
function node(...programArguments) {
  return spawnSync(process.execPath, programArguments, { stdio: 'inherit' }).status ?? 1;
}

process.exitCode = node(join(ROOT, 'scripts', 'setup.mjs'));
if (process.exitCode === 0) {
  const named = process.argv.slice(2).map((path) => resolve(path));
  const all = ['dist/test', 'test'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.test\.m?js$/.test(name))
      .map((name) => join(ROOT, folder, name)),
  );
  const isIn = (/** @type {string} */ file, /** @type {string} */ path) =>
    file === path || file.startsWith(path + sep);
  const hosts = join(ROOT, 'dist', 'test', 'hosts');
  const files = all.filter((file) =>
    named.length > 0 ? named.some((path) => isIn(file, path)) : !isIn(file, hosts),
  );
  if (files.length === 0) {
    console.error(`no tests in ${named.join(', ')}: name files or folders of dist/test or test`);
    process.exitCode = 1;
  } else {
    // Two files at a time: most tests keep one core busy, and Node would leave one of two cores idle.
    process.exitCode = node('--test', '--test-concurrency=2', ...files);
  }
}
