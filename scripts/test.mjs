/**
 * `npm test [FILES]`: set-up, then the tests: those named, or all that are in dist/test and test/setup.
 * Node 20's runner takes no patterns, and given a folder it would also run what tests start as workers.
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
  process.exitCode = node('--test', ...(named.length > 0 ? named : files));
}
