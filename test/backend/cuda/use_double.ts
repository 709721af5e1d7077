/**
 * Imported first: builds the double of NVIDIA's libraries, if its sources have changed, and has the addon open it. If
 * `TWOTOWER_CUDA` names a folder already, the libraries are taken from there: a double with a sanitizer, or a GPU's own.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const inProject = (path: string): string =>
  fileURLToPath(new URL(`../../../../${path}`, import.meta.url));

if (process.env['TWOTOWER_CUDA'] === undefined) {
  const build = [inProject('test/cuda_double/build.mjs')];
  const { status, stderr } = spawnSync(process.execPath, build, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the double of CUDA does not compile: ${stderr}`);
  process.env['TWOTOWER_CUDA'] = inProject('native/build/cuda_double');
}
