/**
 * `npm run test:package`: packs the package and installs the archive into an empty project, as a user would.
 * There it type-checks and runs a program that trains a few steps of the demo through the library, stops by an
 * AbortSignal, resumes, tests, exports and imports; then it runs the command line.
 */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
 * @param {string} cwd
 * @param {string} program
 * @param {string[]} programArguments
 */
function output(cwd, program, programArguments) {
  const { status, stdout } = spawnSync(program, programArguments, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status === 0) return stdout;
  throw new Error(`${program} ${programArguments.join(' ')} ended with ${status}\n${stdout}`);
}

/** @param {string} project an empty folder */
function check(project) {
  const [{ filename, files }] = JSON.parse(
    output(ROOT, 'npm', [
      'run',
      '--silent',
      'release',
      '--',
      '--json',
      '--pack-destination',
      project,
    ]),
  );
  console.log(`${filename}: ${files.length} files`);
  const strays = files.filter(({ path }) => /(^|\/)(test|build|golden\w*)(\/|\.)/.test(path));
  assert.deepEqual(strays, [], 'these do not belong into the package');

  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  output(project, 'npm', [
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    `./${filename}`,
  ]);
  // Saves half a minute of compiling. The stamp is that of the sources, so it fits only if all were packed.
  const build = join('native', 'build');
  cpSync(join(ROOT, build), join(project, 'node_modules', 'twotower', build), { recursive: true });
  writeFileSync(join(project, 'program.ts'), PROGRAM);
  // tfjs's own declarations would not pass the check of libraries.
  output(project, process.execPath, [
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
  const printed = output(project, process.execPath, ['program.js']);
  assert.match(printed, /step 3: loss \d/);
  assert.match(printed, /run folder run exists/);

  const command = join(project, 'node_modules', '.bin', 'twotower');
  assert.match(output(project, command, ['evaluate', 'run', '--test-limit', '64']), /^top-1 /);
  assert.ok(existsSync(join(project, 'run', 'summary.json')));
}

const folder = mkdtempSync(join(tmpdir(), 'twotower-package-'));
try {
  const project = join(folder, 'project');
  mkdirSync(project);
  check(project);
  console.log('the package installs, type-checks, trains, stops and resumes in an empty project');
} finally {
  rmSync(folder, { recursive: true });
}
