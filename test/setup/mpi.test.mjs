import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { flagsIn, MPI_ADDONS } from '../../scripts/mpi.mjs';

test('the flags of an MPI compiler are taken from the command that it would run', () => {
  const command =
    'gcc -Wl,-z,relro -I/opt/mpi/include -pthread -L/opt/mpi/lib -Wl,-rpath -Wl,/opt/mpi/lib -lmpi\n';
  assert.deepEqual(flagsIn(command), {
    include: ['/opt/mpi/include'],
    link: [
      '-Wl,-z,relro',
      '-pthread',
      '-L/opt/mpi/lib',
      '-Wl,-rpath',
      '-Wl,/opt/mpi/lib',
      '-lmpi',
      '-Wl,-rpath,/opt/mpi/lib',
    ],
  });
});

test('each MPI is found by its compiler on the PATH, and another version of it is noticed', (context) => {
  const root = mkdtempSync(join(tmpdir(), 'twotower-'));
  context.after(() => rmSync(root, { recursive: true }));
  const [openMpi, mpich] = MPI_ADDONS.map(
    ({ library }) =>
      () =>
        library.find({ PATH: join(root, 'bin') }),
  );
  mkdirSync(join(root, 'bin'));
  assert.deepEqual([openMpi?.(), mpich?.()], [undefined, undefined]);

  writeFileSync(join(root, 'bin', 'opal_wrapper'), '');
  symlinkSync('opal_wrapper', join(root, 'bin', 'mpicc'));
  assert.equal(mpich?.(), undefined);
  const before = openMpi?.();
  writeFileSync(join(root, 'bin', 'opal_wrapper'), 'newer');
  assert.notEqual(before, undefined);
  assert.notEqual(openMpi?.(), before);

  writeFileSync(join(root, 'bin', 'mpicc.mpich'), '');
  assert.match(mpich?.() ?? '', /mpicc\.mpich/);
});
