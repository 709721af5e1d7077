/**
 * `npm run gpu:pack [-- DIR]`: writes a folder that brings the GPU check to a machine without Node, npm or network. It needs an
 * x86-64 Linux with an NVIDIA driver, NVIDIA's libraries (docs/gpus.md), g++, tar and xz there. `sh DIR/run.sh` unpacks, compiles
 * the addon for GPUs and runs `gpu:check`, whose options it takes.
 *
 * DIR/run.sh            starts it
 *     node.xz           Node's program, without its symbols
 *     twotower.tar.xz   the project: what is compiled, sources of the GPUs' addon, packages that run, the CPU's addons prebuilt
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isUnused, productionPackages } from './dependencies.mjs';
import { CUDA_ADDON, nativePlaces } from './native_addon.mjs';
import { buildPrebuilt } from './prebuilt.mjs';
import { endSetUp } from './steps.mjs';
import { endChildrenOnSignals, run, say, timed } from './subprocess.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Bytes of all files together, so that it travels in one piece. */
const MOST_BYTES = 45 * 2 ** 20;

/** Without package-lock.json and tsconfig.json, set-up takes it for an installed package: it installs and compiles nothing else. */
const PARTS = ['package.json', 'LICENSE', 'config', 'dist', 'native', 'scripts', 'test'];

/** Of these only what runs: compiled programs, sources of addons, set-up, and PyTorch's program and tensors. */
const KEPT = [
  /^(package\.json|LICENSE)$/,
  /^config\/.*\.json$/,
  /^dist\/.*\.c?js$/,
  /^native\/(?!build|prebuilt).*\.(cc|h|cu)$/,
  /^scripts\/[^/]*\.(mjs|py)$/,
  /^test\/golden\/(dense|grouped|local)\.(json|safetensors)$/,
];

const RUN = `#!/bin/sh
# Unpacks Node and the project beside this file, compiles the addon for GPUs, and runs the GPU check:
#
#     sh run.sh [--data DIR] [--python PYTHON] [--out DIR]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
project=$here/twotower
if [ ! -e "$project/.unpacked" ]; then
  rm -rf "$project"
  mkdir "$project"
  xz -dc "$here/twotower.tar.xz" | tar -xf - -C "$project"
  xz -dc "$here/node.xz" >"$project/node"
  chmod +x "$project/node"
  : >"$project/.unpacked"
fi
exec "$project/node" "$project/dist/scripts/gpu_check/main.js" "$@"
`;

async function pack() {
  endChildrenOnSignals();
  const target = resolve(process.argv[2] ?? 'gpu_pack');
  if (existsSync(target)) throw new Error(`${target} exists: name another folder or remove it`);
  const scratch = mkdtempSync(join(tmpdir(), 'twotower-pack-'));
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
  const stage = join(scratch, 'twotower');
  copyProject(stage);
  await buildPrebuilt(stage);
  // It is compiled where it runs.
  rmSync(nativePlaces(stage, CUDA_ADDON).prebuilt);
  mkdirSync(target, { recursive: true });
  await timed('packing the project', () => packProject(stage, scratch, target));
  await timed('packing Node', () => packNode(scratch, target));
  writeFileSync(join(target, 'run.sh'), RUN, { mode: 0o755 });

  const files = readdirSync(target).map((name) => join(target, name));
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  say(`${target}: ${(bytes / 2 ** 20).toFixed(1)} MiB`);
  if (bytes > MOST_BYTES) throw new Error(`it is larger than ${MOST_BYTES / 2 ** 20} MiB`);
}

/** @param {string} stage */
function copyProject(stage) {
  for (const part of PARTS) {
    cpSync(join(ROOT, part), join(stage, part), {
      recursive: true,
      filter: (file) => {
        const name = relative(ROOT, file);
        return statSync(file).isDirectory() || KEPT.some((pattern) => pattern.test(name));
      },
    });
  }
  for (const path of productionPackages(ROOT)) {
    cpSync(join(ROOT, path), join(stage, path), {
      recursive: true,
      filter: (file) =>
        !isUnused(file) && basename(file) !== 'node_modules' && !/\.d\.[cm]?ts$/.test(file),
    });
  }
}

/**
 * @param {string} stage
 * @param {string} scratch
 * @param {string} target
 */
async function packProject(stage, scratch, target) {
  const archive = join(scratch, 'twotower.tar');
  await run('tar', ['-cf', archive, '--owner=0', '--group=0', '-C', stage, '.']);
  await compress(archive, target);
}

/**
 * @param {string} scratch
 * @param {string} target
 */
async function packNode(scratch, target) {
  const libraries = spawnSync('ldd', [process.execPath], { encoding: 'utf8' }).stdout;
  if (libraries.includes('libnode')) {
    throw new Error(`${process.execPath} is not in one file: run this with Node from nodejs.org`);
  }
  const program = join(scratch, 'node');
  await run('strip', ['-o', program, process.execPath]);
  chmodSync(program, 0o755);
  await compress(program, target);
}

/**
 * @param {string} file
 * @param {string} target
 */
async function compress(file, target) {
  await run('xz', ['-9', '--keep', file]);
  cpSync(`${file}.xz`, join(target, `${basename(file)}.xz`));
}

pack().catch(endSetUp);
