/** `process_group.ts` in four processes on this host, started by the launcher of each MPI. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import type { MpiName } from '../../src/parallel/process_group.js';
import { launcherOf } from '../hosts/launchers.js';
import type { GroupReport } from './group_member.js';

const MEMBER = fileURLToPath(new URL('./group_member.js', import.meta.url));
const PROCESSES = 4;

async function reportsOf(mpi: MpiName): Promise<GroupReport[]> {
  const { program, words, environment } = launcherOf(mpi, PROCESSES);
  const { stdout } = await promisify(execFile)(program, [...words, process.execPath, MEMBER, mpi], {
    env: { ...process.env, ...environment },
  });
  const lines = stdout.trim().split('\n');
  return lines
    .map((line) => JSON.parse(line) as GroupReport)
    .sort((one, other) => one.rank - other.rank);
}

for (const [mpi, name] of [
  ['openmpi', 'Open MPI'],
  ['mpich', 'MPICH'],
] as const) {
  const missing = whyNoMpi(mpi);
  test(
    `${name}: sums, copies, messages and groups are right in every process, also from worker threads`,
    { skip: missing ?? false },
    async () => {
      const reports = await reportsOf(mpi);
      assert.deepEqual(
        reports.map(({ rank, size }) => ({ rank, size })),
        [0, 1, 2, 3].map((rank) => ({ rank, size: PROCESSES })),
      );
      for (const { rank, ...report } of reports) {
        assert.match(report.version, mpi === 'openmpi' ? /^Open MPI/ : /^MPICH/);
        assert.equal(report.threadLevel, 'MULTIPLE');
        assert.deepEqual(report.sums.slice(0, 2), [6, 4]);
        assert.equal(report.sums[2], reports[0]!.sums[2], 'the same bits in every process');
        assert.ok(report.isTimed);
        assert.deepEqual(report.firstAndLastOfMany, [10, 10]);
        assert.deepEqual(report.copied, [3, 4]);
        assert.equal(report.isPendingAtFirst, rank === 0);
        assert.deepEqual(report.received, rank === 0 ? [0.5, -2] : [0, 0]);
        // The key turns the order of the halves around.
        const half = rank < 2 ? 1 : 0;
        assert.deepEqual(report.ofHalf, { rank: half, size: 2, sum: rank % 2 === 0 ? 2 : 4 });
        const before = (rank + 3) % 4;
        assert.deepEqual(report.fromThreads, [before * 100 + 1, before * 100 + 2]);
      }
    },
  );
}
