/** Networks whose towers are on different hosts, which stand here as processes on this one. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BACKEND_NAMES, prepareProcess, whyMissing } from '../../src/backend/backend.js';
import type { BackendName } from '../../src/backend/backend.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import { launcherOf } from '../hosts/launchers.js';
import { hashOfLogits, hashOfParameters } from './tower_host.js';
import type { HostReport, HostTask } from './tower_host.js';
import { SEED, noiseBatchOf, steps, withCoordinatorOn } from './two_placements.js';

const HOST = fileURLToPath(new URL('./tower_host.js', import.meta.url));

prepareProcess();

async function onHosts(processes: number, task: HostTask): Promise<HostReport[]> {
  const { program, words, environment } = launcherOf('openmpi', processes);
  const command = [...words, process.execPath, HOST, JSON.stringify(task)];
  const { stdout } = await promisify(execFile)(program, command, {
    env: { ...process.env, ...environment },
  });
  const lines = stdout.trim().split('\n');
  return lines
    .map((line) => JSON.parse(line) as HostReport)
    .sort((one, other) => one.process - other.process);
}

/** The same on one host. */
async function onOne(backend: BackendName, workers: number[][], count: number) {
  return withCoordinatorOn(backend, workers, async (coordinator) => {
    const results = await steps(coordinator, count);
    const logits = await coordinator.logitsOf(noiseBatchOf(SEED, 1));
    return {
      losses: results.map(({ loss }) => loss),
      accuracies: results.map(({ accuracy }) => accuracy),
      parameters: hashOfParameters(await coordinator.store()),
      logits: hashOfLogits(logits),
    };
  });
}

const isPrepared = (backend: BackendName): boolean => whyMissing(backend) === null;

/** One whose tensors threads share, as far as there is one, and one whose tensors are copied. */
const backends = [BACKEND_NAMES, BACKEND_NAMES.toReversed()].map((names) =>
  names.find(isPrepared)!,
);

suite('towers on different hosts', { skip: whyNoMpi('openmpi') ?? false }, () => {
  for (const [index, backend] of [...new Set(backends)].entries()) {
    const count = index === 0 ? 30 : 3;
    test(`${backend}: a tower per host computes the same bits as both on one, ${count} steps`, async () => {
      const task = { backend, towers: 2, workers: [[0]], hostsPerReplica: 2, steps: count };
      const [first, second] = await onHosts(2, task);
      const one = await onOne(backend, [[0], [1]], count);
      assert.notEqual(one.losses[0], one.losses[count - 1]);
      for (const host of [first!, second!]) {
        assert.deepEqual(host.losses, one.losses);
        assert.deepEqual(host.accuracies, one.accuracies);
        assert.equal(host.logits, one.logits);
      }
      assert.equal(first!.parameters, one.parameters, 'the first host has the shares of both');
    });
  }
});
