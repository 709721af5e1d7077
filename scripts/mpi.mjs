/**
 * The addons for training on many hosts, one for each MPI: Open MPI and MPICH, whose programs cannot be mixed. The
 * system has an MPI if its compiler, `mpicc`, is on the PATH. Without one nothing is built, and nothing is missed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';

const SOURCES = [
  'mpi.cc',
  'bindings.cc',
  'bindings.h',
  'arguments.cc',
  'arguments.h',
  'values.cc',
  join('cpu', 'device_values.cc'),
  'values.h',
];

/** @type {import('./native_addon.mjs').NativeAddon[]} */
export const MPI_ADDONS = [
  addonFor('mpi_openmpi', 'Open MPI', (compiler) => isOpenMpi(compiler)),
  // The others descend from MPICH and have its binary interface.
  addonFor('mpi_mpich', 'MPICH', (compiler) => !isOpenMpi(compiler)),
];

/**
 * @param {string} name
 * @param {string} mpi
 * @param {(compiler: string) => boolean} isIts
 * @returns {import('./native_addon.mjs').NativeAddon}
 */
function addonFor(name, mpi, isIts) {
  const compilerIn = (/** @type {NodeJS.ProcessEnv} */ environment) =>
    compilersOn(environment['PATH'] ?? '').find((compiler) => isIts(compiler));
  return {
    name,
    progress: `compiling the addon for ${mpi}`,
    has: (source) => SOURCES.includes(source),
    library: {
      find: (environment) => {
        const compiler = compilerIn(environment);
        if (compiler === undefined) return undefined;
        const { size, mtimeMs } = statSync(compiler);
        return `${realpathSync(compiler)} ${size} ${mtimeMs}`;
      },
      prepare: async (environment) => {
        const compiler = /** @type {string} */ (compilerIn(environment));
        return flagsIn(execFileSync(compiler, ['-show'], { encoding: 'utf8' }));
      },
    },
    // Their C++ interfaces are libraries of their own, without which the addon would not load.
    flags: ['-DOMPI_SKIP_MPICXX', '-DMPICH_SKIP_MPICXX'],
  };
}

/**
 * The MPI compilers on the PATH: first the one chosen as `mpicc`, then Debian's own names.
 * @param {string} path
 */
function compilersOn(path) {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  return ['mpicc', 'mpicc.openmpi', 'mpicc.mpich'].flatMap((name) =>
    folders.map((folder) => join(folder, name)).filter((file) => existsSync(file)),
  );
}

/** @param {string} compiler */
function isOpenMpi(compiler) {
  return basename(realpathSync(compiler)) === 'opal_wrapper';
}

/**
 * The flags in the command that an MPI compiler would run.
 * @param {string} command such as `gcc -I/usr/include/mpich -L/usr/lib -lmpich`
 * @returns {import('./native_addon.mjs').CompilerFlags}
 */
export function flagsIn(command) {
  const words = command.trim().split(/\s+/);
  const after = (/** @type {string} */ option) =>
    words.filter((word) => word.startsWith(option)).map((word) => word.slice(option.length));
  const folders = after('-L');
  return {
    include: after('-I'),
    link: [
      ...words.filter((word) => /^-(?:L|l|Wl,|pthread)/.test(word)),
      ...folders.map((folder) => `-Wl,-rpath,${folder}`),
    ],
  };
}
