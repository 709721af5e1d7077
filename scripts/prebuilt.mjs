/**
 * The prebuilt addons of the published package, for Linux on x86-64 with glibc. They need neither a compiler nor a
 * library that a system with Node lacks.
 *
 * native/prebuilt/linux-x64/
 *   twotower.node           the native backend: no code, only a link to the next
 *   libtwotower.so          its code for any x86-64 processor
 *   glibc-hwcaps/NAME/      the same for newer processors: glibc's loader takes the best one for the processor
 *   jpeg_decoder.node       the JPEG decoder; libjpeg-turbo chooses its code itself
 *   twotower_cuda.node      the native backend on GPUs, which opens NVIDIA's libraries at run time
 *   libdnnl.so.2 …          oneDNN, libjpeg-turbo and what they need, from Debian's packages
 *   LICENSES.txt            of Debian's packages
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { findCompiler } from './addons.mjs';
import { cacheFolder } from './cache.mjs';
import {
  BACKEND_ADDON,
  compileNative,
  CUDA_ADDON,
  JPEG_ADDON,
  prebuiltFolder,
} from './native_addon.mjs';
import { run, say, timed } from './subprocess.mjs';
import { fetchLibrary, LIBJPEG_TURBO, libraryUnder, ONEDNN } from './system_library.mjs';

/** Levels of the x86-64 processors, by the folder in which glibc looks for each. */
const LEVELS = [
  { folder: '', flags: ['-march=x86-64'] },
  { folder: 'glibc-hwcaps/x86-64-v3', flags: ['-march=x86-64-v3'] },
  { folder: 'glibc-hwcaps/x86-64-v4', flags: ['-march=x86-64-v4'] },
];

/** The oldest glibc that the prebuilt addons may need: from 2021, as in Debian 12, Ubuntu 22.04 and RHEL 9. */
const OLDEST_GLIBC = 34;

/** What every system has on which Node runs. */
const SYSTEM = /^(linux-vdso|ld-linux-x86-64|lib(c|m|dl|pthread|stdc\+\+|gcc_s))\.so/;

/** Debian's packages of the libraries that are copied. */
const COPIED = ['libdnnl2', 'ocl-icd-libopencl1', 'libgomp1', 'libjpeg62-turbo'];

/**
 * Builds them into `native/prebuilt/linux-x64`.
 * @param {string} root the project's folder
 */
export async function buildPrebuilt(root) {
  const compiler = findCompiler(process.env['CXX']);
  if (compiler === undefined || process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('the prebuilt addons are built on Debian 12 on x86-64, with g++');
  }
  const target = prebuiltFolder(root);
  rmSync(target, { recursive: true, force: true });
  const objects = join(target, 'objects');
  const oneDnn = await debianLibrary(ONEDNN);
  const jpeg = await debianLibrary(LIBJPEG_TURBO);

  for (const { folder, flags } of LEVELS) {
    mkdirSync(join(target, folder), { recursive: true });
    await timed(`compiling the native addon with ${flags.join(' ')}`, () =>
      compileNative(root, BACKEND_ADDON, {
        compiler,
        library: {
          include: oneDnn.include,
          link: [join(oneDnn.folder, ONEDNN.file), `-Wl,-rpath-link,${oneDnn.folder}`],
        },
        moreFlags: [...flags, '-Wl,-soname,libtwotower.so'],
        objects,
        target: join(target, folder, 'libtwotower.so'),
      }),
    );
  }
  copyLibraries(join(target, 'libtwotower.so'), oneDnn.folder, target);
  // An old-style rpath also serves the libraries that the others need.
  const rpath = ['-Wl,--disable-new-dtags,-rpath,$ORIGIN', `-Wl,-rpath-link,${target}`];
  await run(compiler, [
    '-shared',
    '-Wl,--no-as-needed',
    join(target, 'libtwotower.so'),
    ...rpath,
    '-Wl,-z,nodelete',
    '-o',
    join(target, 'twotower.node'),
  ]);
  await timed(JPEG_ADDON.progress, () =>
    compileNative(root, JPEG_ADDON, {
      compiler,
      library: { include: jpeg.include, link: [join(jpeg.folder, LIBJPEG_TURBO.file), ...rpath] },
      objects,
      target: join(target, 'jpeg_decoder.node'),
    }),
  );
  copyLibraries(join(target, 'jpeg_decoder.node'), jpeg.folder, target);
  await timed(CUDA_ADDON.progress, async () =>
    compileNative(root, CUDA_ADDON, {
      compiler,
      library: await CUDA_ADDON.library.prepare(process.env),
      objects,
      target: join(target, 'twotower_cuda.node'),
    }),
  );
  rmSync(objects, { recursive: true });
  writeFileSync(join(target, 'LICENSES.txt'), licences([oneDnn.prefix, jpeg.prefix]));

  const files = filesIn(target);
  for (const file of files) if (/\.(so|node)(\.|$)/.test(file)) checkNeeds(file, target);
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  say(`prebuilt addons: ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB`);
}

/**
 * A library from the distribution's packages, even if the system has another one.
 * @param {import('./system_library.mjs').SystemLibrary} library
 */
async function debianLibrary(library) {
  const prefix = cacheFolder(join('prebuilt', library.folder), process.env);
  await fetchLibrary(library, prefix);
  return { prefix, ...(libraryUnder(prefix, library) ?? { include: [], folder: '' }) };
}

/**
 * Copies the libraries that an addon needs, and those that they need in turn, but the system's.
 * @param {string} addon
 * @param {string} folder in which some of them are
 * @param {string} target
 */
function copyLibraries(addon, folder, target) {
  const printed = execFileSync('ldd', [addon], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: folder },
  });
  for (const [, name, file] of printed.matchAll(/^\s*(\S+) => (\/\S+)/gm)) {
    if (name !== undefined && file !== undefined && !SYSTEM.test(name)) {
      copyFileSync(file, join(target, name));
    }
  }
}

/**
 * @param {string} file
 * @param {string} target folder
 * @throws {Error} if it needs a newer glibc, or a library that is neither the system's nor in the folder
 */
function checkNeeds(file, target) {
  const printed = execFileSync('objdump', ['-p', file], { encoding: 'utf8' });
  for (const [, minor] of printed.matchAll(/GLIBC_2\.(\d+)/g)) {
    if (Number(minor) > OLDEST_GLIBC) {
      throw new Error(`${file} needs glibc 2.${minor}: build it on Debian 12`);
    }
  }
  for (const [, name = ''] of printed.matchAll(/NEEDED +(\S+)/g)) {
    if (!SYSTEM.test(name) && !existsSync(join(target, name))) {
      throw new Error(`${file} needs ${name}, which the package would lack`);
    }
  }
}

/**
 * The notices of copyright of Debian's packages, and the licences that they refer to.
 * @param {string[]} prefixes that have the packages
 */
function licences(prefixes) {
  const documents = [...prefixes.map((prefix) => join(prefix, 'share', 'doc')), '/usr/share/doc'];
  const notices = COPIED.map((name) => {
    const file = documents
      .map((folder) => join(folder, name, 'copyright'))
      .find((one) => existsSync(one));
    if (file === undefined) throw new Error(`no notice of copyright of Debian's ${name}`);
    return { title: `Debian's package ${name}`, file };
  });
  const common = ['Apache-2.0', 'GPL-3'].map((name) => ({
    title: name,
    file: join('/usr/share/common-licenses', name),
  }));
  const introduction =
    'These addons contain libraries from the packages of Debian 12, whose sources Debian has under the same names.\n';
  return [...notices, ...common].reduce(
    (text, { title, file }) =>
      `${text}\n${'='.repeat(title.length)}\n${title}\n${'='.repeat(title.length)}\n\n${readFileSync(file, 'utf8')}`,
    introduction,
  );
}

/** @param {string} folder */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}
