import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import {
  cudaLibrariesFound,
  hasNvidiaDriver,
  prepareCudaLibraries,
} from '../../scripts/cuda_libraries.mjs';
import { libraryFolders } from '../../dist/src/backend/native/cuda_addon.js';

const { PATH } = process.env;
/** @type {string} */
let scratch;
/** @type {NodeJS.ProcessEnv} */
let environment;

/**
 * A Python that has pip. pip writes its arguments into a file, and the libraries of CUDA 13 into its target.
 * @param {{ driver?: number, pipFails?: boolean, hasNvJpeg?: boolean, hasPip?: boolean }} [options]
 */
function writePython({ driver = 13000, pipFails = false, hasNvJpeg = true, hasPip = true } = {}) {
  const file = join(scratch, 'bin', 'python3');
  const failure = 'echo "ERROR: No matching distribution found" >&2; exit 1';
  const install = pipFails
    ? failure
    : `echo "$*" >> ${scratch}/pip
       case "$*" in *nvjpeg*)
         ${hasNvJpeg ? '' : failure}
         while [ "$1" != --target ]; do shift; done
         mkdir -p "$2/nvidia/cu13/lib"
         touch "$2/nvidia/cu13/lib/libnvjpeg.so.13" "$2/nvidia/cu13/lib/libnvjpeg.so.12"
         exit;;
       esac
       while [ "$1" != --target ]; do shift; done
       mkdir -p "$2/nvidia/cu13/lib" "$2/nvidia/cudnn/lib"
       touch "$2/nvidia/cu13/lib/libnvrtc.so.13" "$2/nvidia/cu13/lib/libcublasLt.so.13"
       touch "$2/nvidia/cu13/lib/libnvrtc.so.12" "$2/nvidia/cu13/lib/libcublasLt.so.12"
       touch "$2/nvidia/cudnn/lib/libcudnn.so.9"`;
  const script = `#!/bin/sh
    case "$1 $2" in
      "-c import pip") exit ${hasPip ? 0 : 1};;
      -c*) echo ${driver};;
      "-m pip") ${install};;
    esac`;
  writeFileSync(file, script, { mode: 0o755 });
}

beforeEach(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'twotower-')));
  mkdirSync(join(scratch, 'bin'));
  mkdirSync(join(scratch, 'driver'));
  writeFileSync(join(scratch, 'driver', 'libcuda.so.1'), '');
  process.env['PATH'] = `${join(scratch, 'bin')}:${PATH}`;
  environment = {
    PATH: process.env['PATH'],
    XDG_CACHE_HOME: join(scratch, 'cache'),
    HOME: scratch,
    TWOTOWER_CUDA: join(scratch, 'driver'),
  };
});

afterEach(() => {
  process.env['PATH'] = PATH;
  rmSync(scratch, { recursive: true });
});

const stampFile = () => join(scratch, 'stamp');
/** Without what the machine itself may have. */
const folders = () => libraryFolders(environment).filter((folder) => folder.startsWith(scratch));
const prepare = () => prepareCudaLibraries(environment, folders, stampFile());
const isReady = () => cudaLibrariesFound(environment, stampFile());
const fetched = () => existsSync(join(scratch, 'pip'));

test('a folder with a driver is a driver', () => {
  assert.equal(hasNvidiaDriver(environment), true);
});

test('pip fetches the libraries to where the program looks for them last', async () => {
  writePython();
  assert.equal(isReady(), false);
  await prepare();
  assert.equal(isReady(), true);
  const cache = join(scratch, 'cache', 'twotower');
  assert.deepEqual(folders().slice(1).sort(), [
    join(cache, 'cuda-libraries', 'nvidia', 'cu13', 'lib'),
    join(cache, 'cuda-libraries', 'nvidia', 'cudnn', 'lib'),
    join(cache, 'cuda-nvjpeg', 'nvidia', 'cu13', 'lib'),
  ]);
  const words = readFileSync(join(scratch, 'pip'), 'utf8');
  assert.match(
    words,
    / nvidia-cuda-nvrtc==13\.\* nvidia-cublas==13\.\* nvidia-cudnn-cu13==9\.\*$/m,
  );
});

test('what was fetched is not fetched again', async () => {
  writePython();
  await prepare();
  rmSync(join(scratch, 'pip'));
  rmSync(stampFile());
  await prepare();
  assert.equal(fetched(), false);
});

test('without nvJPEG everything else is ready', async () => {
  writePython({ hasNvJpeg: false });
  await prepare();
  assert.equal(isReady(), true);
  assert.match(readFileSync(join(scratch, 'pip'), 'utf8'), / nvidia-nvjpeg==13\.\*$/m);
});

test('for a driver of CUDA 12, it fetches the packages of CUDA 12', async () => {
  writePython({ driver: 12040 });
  await prepare();
  const words = readFileSync(join(scratch, 'pip'), 'utf8');
  assert.match(words, / nvidia-cuda-nvrtc-cu12==12\.\* .* nvidia-cudnn-cu12==9\.\*$/m);
  assert.match(words, / nvidia-nvjpeg-cu12==12\.\*$/m);
});

/** A Python environment with NVIDIA's libraries but nvJPEG. @param {string[]} others files beside them */
function useEnvironment(others) {
  const packages = join(scratch, 'venv', 'lib', 'python3.12', 'site-packages', 'nvidia');
  for (const [name, files] of Object.entries({
    cu13: ['libnvrtc.so.13', 'libcublasLt.so.13', ...others],
    cudnn: ['libcudnn.so.9'],
  })) {
    mkdirSync(join(packages, name, 'lib'), { recursive: true });
    for (const file of files) writeFileSync(join(packages, name, 'lib', file), '');
  }
  environment['VIRTUAL_ENV'] = join(scratch, 'venv');
}

test('libraries of a Python environment are used as they are', async () => {
  writePython();
  useEnvironment(['libnvjpeg.so.13']);
  await prepare();
  assert.equal(isReady(), true);
  assert.equal(fetched(), false);
});

test('nvJPEG alone is fetched if a Python environment has all others', async () => {
  writePython();
  useEnvironment([]);
  await prepare();
  const lines = readFileSync(join(scratch, 'pip'), 'utf8').trim().split('\n');
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', / nvidia-nvjpeg==13\.\*$/);
});

test('a library that is gone is noticed', async () => {
  writePython();
  await prepare();
  rmSync(join(scratch, 'cache'), { recursive: true });
  assert.equal(isReady(), false);
});

test('in another Python environment, libraries are looked for again', async () => {
  writePython();
  await prepare();
  environment['VIRTUAL_ENV'] = join(scratch, 'venv');
  assert.equal(isReady(), false);
});

test('nothing is fetched beside libraries that TWOTOWER_CUDA names', async () => {
  writePython();
  writeFileSync(join(scratch, 'driver', 'libnvrtc.so.13'), '');
  await assert.rejects(prepare(), /TWOTOWER_CUDA names has only some .*pip install/);
  assert.equal(fetched(), false);
});

test("a failure is one line with pip's command, and leaves nothing", async () => {
  writePython({ pipFails: true });
  await assert.rejects(prepare(), ({ message }) => {
    assert.match(
      message,
      /No matching distribution found.*: python3 -m pip install --user 'nvidia-/,
    );
    return !message.includes('\n');
  });
  assert.equal(existsSync(join(scratch, 'cache', 'twotower', 'cuda-libraries')), false);
  assert.equal(isReady(), false);
});

test('without pip, the line says how to get it', async () => {
  writePython({ hasPip: false });
  await assert.rejects(prepare(), /apt-get install python3-pip, then python3 -m pip install/);
});
