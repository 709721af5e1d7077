/**
 * `npm run check:cuda [-- FOLDER]`: checks native/cuda with NVIDIA's real headers and libraries, which needs no GPU. They are those
 * of a Python environment (`pip install nvidia-cuda-nvrtc nvidia-cublas nvidia-cudnn-cu13 nvidia-nccl-cu13 nvidia-nvjpeg
 * nvidia-cuda-runtime`, and headers of the CUDA toolkit); FOLDER is its `site-packages/nvidia`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCompiler } from './addons.mjs';
import { run, say } from './subprocess.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TESTS = join(ROOT, 'test', 'backend', 'cuda');

/** Turing to Blackwell. */
const ARCHITECTURES = ['75', '80', '86', '89', '90', '100', '120'];

/** The folder of NVIDIA's Python packages. */
function packagesFolder() {
  if (process.argv[2] !== undefined) return process.argv[2];
  const program = 'import nvidia; print(list(nvidia.__path__)[0])';
  const { status, stdout } = spawnSync('python3', ['-c', program], { encoding: 'utf8' });
  if (status !== 0) throw new Error("python3 has none of NVIDIA's packages: name their folder");
  return stdout.trim();
}

/**
 * @param {string[]} folders
 * @param {RegExp} name
 */
function fileIn(folders, name) {
  for (const folder of folders) {
    const found = readdirSync(folder).find((file) => name.test(file));
    if (found !== undefined) return join(folder, found);
  }
  throw new Error(`there is no ${name.source} in ${folders.join(', ')}`);
}

/**
 * @param {string} root
 * @param {string} part
 */
const partsOf = (root, part) =>
  readdirSync(root)
    .map((name) => join(root, name, part))
    .filter((folder) => existsSync(folder));

const compiler = findCompiler(process.env['CXX']);
if (compiler === undefined) throw new Error('a C++ compiler is missing');
const packages = packagesFolder();
const include = [...partsOf(packages, 'include'), '/usr/local/cuda/include'];
const common = ['-std=c++17', '-Wno-deprecated-declarations'];
await run(compiler, [
  ...common,
  '-fsyntax-only',
  ...include.map((folder) => `-I${folder}`),
  join(TESTS, 'declarations.cc'),
]);
const hasNvJpeg = include.some((folder) => existsSync(join(folder, 'nvjpeg.h')));
say("native/cuda/api.h declares what NVIDIA's headers do");
if (!hasNvJpeg) say('nvJPEG was not compared: there is no nvjpeg.h (pip install nvidia-nvjpeg)');

const folder = mkdtempSync(join(tmpdir(), 'twotower-cuda-'));
try {
  const program = join(folder, 'real_libraries');
  await run(compiler, [...common, join(TESTS, 'real_libraries.cc'), '-ldl', '-o', program]);
  const source = join(folder, 'kernels.cu');
  const { kernelSource } = await import('../dist/src/backend/native/cuda_addon.js');
  writeFileSync(source, kernelSource());
  const libraries = partsOf(packages, 'lib');
  const files = [/^libnvrtc\.so\.\d+$/, /^libcublasLt\.so\.\d+$/, /^libcudnn\.so\.\d+$/].map(
    (name) => fileIn(libraries, name),
  );
  // NVRTC looks for its builtins by their name alone.
  const { status } = spawnSync(program, [source, ...files, ...ARCHITECTURES], {
    stdio: 'inherit',
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') },
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
