/**
 * Imported first: builds the double of NVIDIA's libraries, if its sources have changed, and has the addon open it. On a machine
 * with a driver, tests run on the GPU itself if `TWOTOWER_TEST_ON_GPU` is set.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

if (process.env['TWOTOWER_TEST_ON_GPU'] === undefined) {
  const script = fileURLToPath(new URL('../../../../test/cuda_double/build.mjs', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the double of CUDA does not compile: ${stderr}`);
  process.env['TWOTOWER_CUDA'] = fileURLToPath(
    new URL('../../../../native/build/cuda_double', import.meta.url),
  );
}
