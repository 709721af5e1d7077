/**
 * The test double of NVIDIA's libraries, by `self_test.cc`: the tests of the CUDA backend are worth as much as it is.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { kernelSource } from '../../src/backend/native/cuda_addon.js';

const BUILD = join(import.meta.dirname, '..', '..', '..', 'test', 'cuda_double', 'build.mjs');

const compiler = process.env['CXX'] ?? 'g++';
const skip =
  spawnSync(compiler, ['--version']).status === 0 ? false : `${compiler} does not run here`;

suite('the double of the CUDA libraries', { skip }, () => {
  const built = skip !== false ? '' : build();

  /** Runs a test of self_test.cc. */
  function run(name: string, environment: Record<string, string> = {}) {
    return spawnSync(join(built, 'self_test'), [built, name], {
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    });
  }

  function passes(name: string, environment: Record<string, string> = {}): void {
    const { status, stderr } = run(name, environment);
    assert.equal(status, 0, stderr);
  }

  test("the kernels are compiled in the program's order", () =>
    assert.equal(readFileSync(join(built, 'kernels.cu'), 'utf8'), kernelSource()));

  test('a stream works on its own and in order, and memory is freed after the work on it', () =>
    passes('streams'));

  test("a stream waits for another's event, as it was recorded when the wait was enqueued", () =>
    passes('events'));

  test('elapsed time is of timed events that have happened', () => passes('elapsed time'));
  test('page-locked host memory is read when the stream comes to it, and misuse is refused', () =>
    passes('host memory'));

  test('threads of a block wait for each other, in either order', () => passes('barriers'));

  test('a block of which some threads miss a barrier ends the process', () => {
    const { signal, stderr } = run('uneven barriers');
    assert.equal(signal, 'SIGABRT');
    assert.match(stderr, /met different numbers of barriers/);
  });

  test('a GPU has the memory that it should have, which is NaN at first', () =>
    passes('memory', { TWOTOWER_DOUBLE_MEMORY: '1000' }));

  test('misuse is refused with the statuses of the libraries', () => passes('misuse'));

  test('a GPU that is lost fails every call', () =>
    passes('lost GPU', { TWOTOWER_DOUBLE_FAIL: 'cuMemAlloc_v2:2:719' }));

  test('cuBLASLt multiplies batches in both formats, transposed or not', () => passes('products'));

  test("cuDNN's three passes agree with their definition, by an algorithm that may be used", () =>
    passes('convolutions'));

  test('nvJPEG decodes into rows of any pitch, makes up what a file lacks at its end, and refuses others', () =>
    passes('JPEGs'));

  test('the report says what was left behind', () => {
    const folder = mkdtempSync(join(tmpdir(), 'twotower-double-'));
    try {
      const file = join(folder, 'report.json');
      passes('leaks', { TWOTOWER_DOUBLE_REPORT: file });
      const { devices } = JSON.parse(readFileSync(file, 'utf8')) as { devices: unknown[] };
      const none = { created: 0, destroyed: 0 };
      const unused = { allocations: none, streams: none, events: none, modules: none };
      assert.deepEqual(devices, [
        { bytes: { live: 0, peak: 0 }, ...unused, contextUsers: 0 },
        {
          bytes: { live: 300, peak: 800 },
          allocations: { created: 2, destroyed: 1 },
          streams: { created: 1, destroyed: 1 },
          events: { created: 1, destroyed: 0 },
          modules: { created: 1, destroyed: 1 },
          contextUsers: 0,
        },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** @returns the folder of the libraries */
function build(): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BUILD], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}
