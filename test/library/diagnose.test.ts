import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { whyMissing } from '../../src/backend/backend.js';
import type { Diagnosis } from '../../src/library/diagnose.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * What a copy of the project says of which no addon and no TensorFlow can be loaded, as where they were
 * built for another user's cache.
 */
function diagnoseUnloadable(): Diagnosis {
  const folder = mkdtempSync(join(tmpdir(), 'twotower-'));
  try {
    for (const part of ['dist/src', 'dist/tfjs_gradients.cjs', 'package.json']) {
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    mkdirSync(join(folder, 'native/build'), { recursive: true });
    for (const name of ['twotower.node', 'jpeg_decoder.node']) {
      writeFileSync(join(folder, 'native/build', name), 'not a library');
    }
    for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']) {
      writeFileSync(join(folder, name), 'not a library');
    }
    const program = join(folder, 'program.mjs');
    writeFileSync(
      program,
      "import { diagnose } from './dist/src/library/diagnose.js'; console.log(JSON.stringify(await diagnose()));",
    );
    const { stdout, stderr, status } = spawnSync(process.execPath, [program], {
      encoding: 'utf8',
      env: { ...process.env, LD_LIBRARY_PATH: folder },
    });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as Diagnosis;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('what is there and does not load is missing, with the reason', () => {
  const { missing, versions } = diagnoseUnloadable();
  const of = (pattern: RegExp) => missing.filter((line) => pattern.test(line)).length;
  assert.equal(of(/^no native backend, .* does not load \(.*\); run npm run setup$/), 1);
  assert.equal(of(/^no libjpeg-turbo, .* does not load \(.*\); run npm run setup$/), 1);
  assert.equal(versions.oneDnn, null);
  if (whyMissing('tensorflow') !== null) return;
  assert.equal(of(/^no tensorflow backend: it does not load \(.*\); run npm run setup$/), 1);
  assert.equal(versions.tensorflow, null);
});
