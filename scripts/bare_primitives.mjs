/**
 *     node scripts/bare_primitives.mjs THREADS float32|bf16 LAYER…
 *
 * Compiles bare_primitives.cc with set-up's oneDNN and runs it. That file says what it measures and what a LAYER
 * is.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCompiler } from './addons.mjs';
import { run } from './subprocess.mjs';
import { ONEDNN, prepareLibrary } from './system_library.mjs';

const compiler = findCompiler(process.env['CXX']);
if (compiler === undefined) throw new Error('a C++ compiler is missing: sudo apt-get install g++');
const oneDnn = await prepareLibrary(ONEDNN, process.env);
const folder = mkdtempSync(join(tmpdir(), 'twotower-bare-'));
try {
  const program = join(folder, 'bare_primitives');
  await run(compiler, [
    '-std=c++17',
    '-O2',
    '-march=native',
    '-fopenmp',
    ...oneDnn.include.map((one) => `-I${one}`),
    '-o',
    program,
    join(import.meta.dirname, 'bare_primitives.cc'),
    '-L',
    oneDnn.folder,
    '-ldnnl',
    `-Wl,--disable-new-dtags,-rpath,${oneDnn.folder}`,
  ]);
  process.exitCode = spawnSync(program, process.argv.slice(2), { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
