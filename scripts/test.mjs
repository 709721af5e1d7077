/**
 * `npm test [FILES]`: sets up, then runs the named tests, or all in dist/test and test/setup.
 *
 * The files are listed because Node 20's runner takes no patterns, and because it would also run the workers in
 * a folder of tests.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string[]} programArguments */
function node(...programArguments) {
  return spawnSync(process.execPath, programArguments, { stdio: 'inherit' }).status ?? 1;
}

process.exitCode = node(join(ROOT, 'scripts', 'setup.mjs'));
if (process.exitCode === 0) {
  const named = process.argv.slice(2);
  const files = ['dist/test', 'test'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.test\.m?js$/.test(name))
      .map((name) => join(ROOT, folder, name)),
  );
  // Two files at a time: most tests keep one core busy, and Node would leave one of two cores idle.
  process.exitCode = node('--test', '--test-concurrency=2', ...(named.length > 0 ? named : files));
}
