/**
 * `npm run test:sanitizers [-- address|thread]`: runs the addons' tests on addons compiled with AddressSanitizer
 * and UndefinedBehaviorSanitizer, then with ThreadSanitizer, or with the one that is named. The GPUs' addon runs on a double
 * of NVIDIA's libraries that is compiled so too, kernels included. With each it also runs
 * `fft_check.cc` on every size of a transform.
 *
 * It works in a copy of the project, so that the addon in place stays as it is. Node, oneDNN and the OpenMP
 * runtime are not instrumented, so what it finds is in native/*.cc.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCompiler } from './addons.mjs';
import { compileCheck, resultOf } from './fft_check.mjs';
import { BACKEND_ADDON, compileNative, CUDA_ADDON, JPEG_ADDON } from './native_addon.mjs';
import { buildDouble } from '../test/cuda_double/build.mjs';
import { setUp } from './steps.mjs';
import { say } from './subprocess.mjs';

/** For readable reports. With -O3 the compiler would take many minutes for the transforms. */
const READABLE = ['-O1', '-g', '-fno-omit-frame-pointer'];

/** Shapes for fft_check.cc: five of each size. */
const SHAPES = 70;

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const SANITIZERS = {
  address: {
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    library: 'libasan.so',
    // Node frees little before it ends.
    environment: { ASAN_OPTIONS: 'detect_leaks=0' },
  },
  thread: {
    flags: ['-fsanitize=thread'],
    library: 'libtsan.so',
    environment: { TSAN_OPTIONS: 'ignore_noninstrumented_modules=1:report_bugs=1:exitcode=66' },
  },
};

/**
 * Whether the tests pass with the sanitizer.
 * @param {'address' | 'thread'} name
 */
async function passes(name) {
  const { flags, library, environment } = SANITIZERS[name];
  const compiler = findCompiler(process.env['CXX']);
  if (compiler === undefined) throw new Error('a C++ compiler is missing');
  const folder = mkdtempSync(join(tmpdir(), 'twotower-sanitize-'));
  try {
    for (const part of ['dist', 'package.json']) {
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const build = join(folder, 'native', 'build');
    mkdirSync(build, { recursive: true });
    cpSync(join(ROOT, 'native', 'cuda'), join(folder, 'native', 'cuda'), { recursive: true });
    for (const addon of [BACKEND_ADDON, CUDA_ADDON, JPEG_ADDON]) {
      say(`${addon.progress} with -fsanitize=${name}`);
      await compileNative(ROOT, addon, {
        compiler,
        library: await addon.library.prepare(process.env),
        moreFlags: [...flags, ...READABLE],
        objects: join(build, 'objects'),
        target: join(build, `${addon.name}.node`),
      });
    }
    const runtime = spawnSync(compiler, [`-print-file-name=${library}`], { encoding: 'utf8' });
    const tests = join(folder, 'dist', 'test');
    const files = readdirSync(join(tests, 'backend', 'native'))
      .filter((file) => /^addon.*\.test\.js$/.test(file))
      .map((file) => join(tests, 'backend', 'native', file));
    files.push(join(tests, 'data', 'jpeg_decoder.test.js'));
    const onGpus = [
      'kernels',
      'images',
      'uploads',
      'summands',
      'nccl',
      'feeding',
      'jpegs',
      'towers',
      'recorded_work',
      'repeated_steps',
    ];
    for (const file of onGpus) {
      files.push(join(tests, 'backend', 'cuda', `${file}.test.js`));
    }
    say(`compiling the double of NVIDIA's libraries with -fsanitize=${name}`);
    const cuda = await buildDouble({ sanitizer: name });
    const program = [process.execPath, '--test', ...files];
    const { status } = spawnSync('setarch', ['-R', ...program], {
      stdio: 'inherit',
      env: {
        ...process.env,
        ...environment,
        TWOTOWER_CUDA: cuda,
        LD_PRELOAD: runtime.stdout.trim(),
      },
    });
    say(`compiling fft_check.cc with -fsanitize=${name}`);
    const check = await compileCheck(
      compiler,
      ['-march=native', ...flags, ...READABLE],
      join(folder, 'check'),
    );
    const compared = resultOf(['setarch', '-R', check, `${SHAPES}`, '2'], environment);
    say(`fft_check: ${compared === undefined ? 'failed' : JSON.stringify(compared)}`);
    return status === 0 && compared !== undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const named = process.argv[2];
if (named !== undefined && !(named in SANITIZERS)) {
  throw new Error(`${named} is no sanitizer; there are ${Object.keys(SANITIZERS).join(' and ')}`);
}
await setUp({ all: true });
for (const name of /** @type {('address' | 'thread')[]} */ (
  named === undefined ? ['address', 'thread'] : [named]
)) {
  if (!(await passes(name))) process.exitCode = 1;
}
