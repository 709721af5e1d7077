/**
 * `npm run check:weights -- --python PYTHON`: round trips of weights against independent readers, at full size, a few
 * minutes in all. What each of them needs stands in its first lines.
 *
 *     check_weights.py            Caffe (OpenCV) and torchvision, in; TensorFlow.js on cpu, wasm and WebGL, out
 *     check_exchange_formats.py   PyTorch, in and out; ONNX (ONNX Runtime), out
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SCRIPTS = dirname(fileURLToPath(import.meta.url));

const { python } = parseArgs({
  options: { python: { type: 'string', default: 'python3' } },
}).values;
for (const script of ['check_weights.py', 'check_exchange_formats.py']) {
  const { status, error } = spawnSync(python, [join(SCRIPTS, script)], { stdio: 'inherit' });
  if (error !== undefined) console.error(`${python}: ${error.message}`);
  if (status !== 0) process.exit(1);
}
