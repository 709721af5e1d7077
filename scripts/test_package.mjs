/**
 * `npm run test:package`: packs the package and installs the archive into an empty project, as a user would.
 * There it type-checks and runs a program that trains a few steps of the demo through the library, stops by an
 * AbortSignal, resumes, tests, exports and imports; then it runs the command line as on a system with Node alone:
 * with each build of the prebuilt addon, without any, and with one that is compiled.
 */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const PROGRAM = `
import { evaluate, exportModel, importModel, loadRun, RunEvents, train, UserError } from 'twotower';
import type { TestResult, TrainedRun } from 'twotower';

const controller = new AbortController();
const events = new RunEvents();
events.on('step', ({ step, loss }) => {
  const rounded: string = loss.toFixed(4);
  console.log(\`step \${step}: loss \${rounded}\`);
  if (step === 3) controller.abort();
});
const devices = { cpu: 2, testLimit: 64 };
const stopped: TrainedRun = await train({
  preset: 'demo', steps: 5, out: 'run', events, signal: controller.signal, ...devices,
});
if (stopped.status !== 'interrupted' || stopped.steps !== 3) throw new Error(stopped.status);
const { status, steps } = await train({ resume: 'run', ...devices });
if (status !== 'completed' || steps !== 5) throw new Error(status);

exportModel('run', 'model.safetensors');
exportModel('run', 'page.html', { format: 'html' });
await importModel('model.safetensors', { preset: 'demo', out: 'imported' });
const [trained, imported]: TestResult[] = [await evaluate('run', devices), await evaluate('imported', devices)];
if (trained!.loss !== imported!.loss) throw new Error(\`\${trained!.loss} and \${imported!.loss}\`);
const { metrics } = loadRun('run');
if (metrics.filter(({ event }) => event === 'train').length !== 5) throw new Error('metrics');
// @ts-expect-error: there is no such option
await train({ preset: 'demo', stepz: 1, out: 'run' }).catch((error: unknown) => {
  if (!(error instanceof UserError)) throw error;
  console.log(error.message);
});
`;

/**
 * Runs a program, which must succeed.
 * @param {string} cwd
 * @param {string} program
 * @param {string[]} programArguments
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(cwd, program, programArguments, env = process.env) {
  const { status, stdout, stderr } = spawnSync(program, programArguments, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
  if (status === 0) return { stdout, stderr };
  throw new Error(
    `${program} ${programArguments.join(' ')} ended with ${status}\n${stdout}${stderr}`,
  );
}

/**
 * Which build of the native backend glibc's loader takes if the processor lacks some instructions.
 * @param {string} addon
 * @param {string} lacking as glibc's tunable names them
 */
function buildFor(addon, lacking) {
  const program = `
    require(${JSON.stringify(addon)}).information();
    const file = /\\S+libtwotower.so/.exec(require('node:fs').readFileSync('/proc/self/maps', 'utf8'))[0];
    console.log(require('node:path').relative(${JSON.stringify(dirname(addon))}, file));`;
  const env = { ...process.env, GLIBC_TUNABLES: `glibc.cpu.hwcaps=${lacking}` };
  return run(tmpdir(), process.execPath, ['-e', program], env).stdout.trim();
}

/**
 * Trains and looks as on a system that has Node, npm and a shell, and nothing else on the PATH.
 * @param {string} project with the package installed
 */
function checkWithNodeAlone(project) {
  const programs = join(project, 'programs');
  mkdirSync(programs);
  const inNodes = (/** @type {string} */ name) => join(dirname(process.execPath), name);
  symlinkSync(process.execPath, join(programs, 'node'));
  symlinkSync(inNodes('npx'), join(programs, 'npx'));
  symlinkSync('/bin/sh', join(programs, 'sh'));
  const env = { PATH: programs, HOME: join(project, 'home') };
  const train = ['twotower', 'train', '--preset', 'demo', '--cpu', '2', '--steps', '3'];
  const short = ['--test-limit', '64', '--out'];

  const prebuilt = run(project, 'npx', [...train, ...short, 'prebuilt'], env);
  assert.match(prebuilt.stdout, /backend native, oneDNN/);
  assert.doesNotMatch(prebuilt.stderr, /set-up/);

  const folder = join(project, 'node_modules/twotower/native/prebuilt/linux-x64');
  const addon = join(folder, 'twotower.node');
  const builds = ['-AVX2,-AVX2_Usable', '-AVX512F,-AVX512F_Usable'].map((lacking) =>
    buildFor(addon, lacking),
  );
  assert.equal(builds[0], 'libtwotower.so');
  // On a processor without AVX2, glibc takes the first one either way.
  if (/\bavx2\b/.test(readFileSync('/proc/cpuinfo', 'utf8'))) {
    assert.equal(builds[1], 'glibc-hwcaps/x86-64-v3/libtwotower.so');
  }

  // The loader refuses it, as with an older C library.
  writeFileSync(addon, 'no addon');
  const wasm = run(project, 'npx', [...train, ...short, 'wasm'], env);
  assert.match(
    wasm.stderr,
    /no native backend: a C\+\+ compiler is missing: sudo apt-get install g\+\+/,
  );
  assert.match(wasm.stdout, /backend wasm/);

  // Compiled as in this checkout. The stamp is that of the sources, so it fits only if all were packed.
  const build = join('native', 'build');
  const packaged = join(project, 'node_modules', 'twotower', build);
  rmSync(packaged, { recursive: true });
  cpSync(join(ROOT, build), packaged, { recursive: true });
  const compiled = run(project, 'npx', ['twotower', 'doctor', '--json']);
  assert.equal(JSON.parse(compiled.stdout).backend, 'native');
  assert.doesNotMatch(compiled.stderr, /compiling/);
}

/** @param {string} project an empty folder */
function check(project) {
  const words = ['run', '--silent', 'release', '--', '--json', '--pack-destination', project];
  const [{ filename, files, size, unpackedSize }] = JSON.parse(run(ROOT, 'npm', words).stdout);
  const megabytes = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(
    `${filename}: ${files.length} files, ${megabytes(size)}, unpacked ${megabytes(unpackedSize)}`,
  );
  const strays = files.filter(({ path }) => /(^|\/)(test|build|golden\w*)(\/|\.)/.test(path));
  assert.deepEqual(strays, [], 'these do not belong into the package');

  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', `./${filename}`];
  run(project, 'npm', install);
  writeFileSync(join(project, 'program.ts'), PROGRAM);
  // tfjs's own declarations would not pass the check of libraries.
  run(project, process.execPath, [
    join(ROOT, 'node_modules/typescript/bin/tsc'),
    'program.ts',
    '--strict',
    '--skipLibCheck',
    '--target',
    'es2022',
    '--module',
    'nodenext',
    '--lib',
    'es2023',
    '--types',
    'node',
    '--typeRoots',
    join(ROOT, 'node_modules/@types'),
  ]);
  const printed = run(project, process.execPath, ['program.js']).stdout;
  assert.match(printed, /step 3: loss \d/);
  assert.match(printed, /run folder run exists/);

  const command = join(project, 'node_modules', '.bin', 'twotower');
  const tested = run(project, command, ['evaluate', 'run', '--test-limit', '64']).stdout;
  assert.match(tested, /^top-1 /);
  assert.ok(existsSync(join(project, 'run', 'summary.json')));
  checkWithNodeAlone(project);
}

const folder = mkdtempSync(join(tmpdir(), 'twotower-package-'));
try {
  const project = join(folder, 'project');
  mkdirSync(project);
  check(project);
  console.log(
    'the package installs, type-checks, trains, stops and resumes in an empty project, also with Node alone',
  );
} finally {
  rmSync(folder, { recursive: true });
}
