/**
 * TensorFlow's C library, laid out as `lib/` and `include/` and linked as `deps` into the tfjs-node-gpu package,
 * whose addon looks for it there.
 *
 * The sources, in order:
 * 1. `$LIBTENSORFLOW`: a folder with `lib/` and `include/`, an unpacked wheel's `tensorflow/` folder, or
 *    an archive (.whl, .tar.gz) of either;
 * 2. an earlier preparation, in `${XDG_CACHE_HOME:-~/.cache}/twotower/`;
 * 3. TensorFlow's Python wheel, through pip. Any host's Python will do, because Python runs nothing of it.
 *    The CPU wheel is pinned by hash. If there is an NVIDIA driver, it is the CUDA build with the nvidia-*
 *    packages that pip chooses, three gigabytes that are pinned by TensorFlow's version only;
 * 4. the tfjs-node-gpu package's own download, of an older TensorFlow.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { makeWhole } from './files.mjs';
import { run, say, timed, works } from './subprocess.mjs';

const VERSION = '2.21.0';
const WHEEL_SHA256 = '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c';
const WHEEL_PYTHON = ['--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311'];

const LIBRARY = 'libtensorflow.so';
const FRAMEWORK = 'libtensorflow_framework.so';
const HEADER = 'tensorflow/c/eager/c_api.h';

/**
 * Python: copies the needed files out of the wheels and archives that follow the target folder.
 *
 * NVIDIA's libraries keep the wheels' folders, `nvidia/NAME/lib`, next to the folder of TensorFlow's libraries:
 * TensorFlow looks for them in `$ORIGIN/../nvidia/NAME/lib`, and they look for each other from there.
 */
const UNPACK = `
import pathlib, re, shutil, sys, tarfile, zipfile
target = pathlib.Path(sys.argv[1])
KEPT = [
    (re.compile(r'tensorflow/(libtensorflow_(?:cc|framework)\\.so\\.2)$'), 'lib/'),
    (re.compile(r'tensorflow/include/((?:tensorflow/(?:c|core/platform)|tsl|xla/tsl)/.*\\.(?:h|inc))$'), 'include/'),
    (re.compile(r'(nvidia/[^/]+/lib/[^/]+\\.so[^/]*)$'), ''),
    (re.compile(r'(?:\\./)?(lib/[^/]+)$'), ''),
    (re.compile(r'(?:\\./)?(include/.+)$'), ''),
]
def place(name, open_member):
    for pattern, folder in KEPT:
        match = pattern.match(name)
        if match is None: continue
        file = target / (folder + match.group(1))
        file.parent.mkdir(parents=True, exist_ok=True)
        with open_member() as source, open(file, 'wb') as out: shutil.copyfileobj(source, out, 1 << 20)
        return
for archive in sys.argv[2:]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for member in wheel.infolist():
                if not member.is_dir(): place(member.filename, lambda: wheel.open(member))
    else:
        with tarfile.open(archive) as tar:
            for member in tar:
                # extractfile follows links within the archive
                if member.isfile() or member.issym(): place(member.name, lambda: tar.extractfile(member))
`;

/** Why a part cannot be had here, and the remedy, in one line. */
export class Unavailable extends Error {}

/** @returns {'cpu' | 'cuda'} what this host's hardware can use */
export function wantedVariant() {
  // A container without GPUs shows its host's driver, but no devices.
  const hasDriver =
    existsSync('/proc/driver/nvidia/version') &&
    ['/dev/nvidiactl', '/dev/dxg'].some((device) => existsSync(device));
  return hasDriver || works('nvidia-smi', ['-L']) ? 'cuda' : 'cpu';
}

/** Whether python3 has pip. */
export function hasPip() {
  return works('python3', ['-c', 'import pip']);
}

/** @param {string} folder */
export function isLibtensorflow(folder) {
  return [join('lib', LIBRARY), join('lib', FRAMEWORK), join('include', HEADER)].every((file) =>
    existsSync(join(folder, file)),
  );
}

/**
 * The folder for the library of `environment` and `variant`.
 * @param {NodeJS.ProcessEnv} environment
 * @param {'cpu' | 'cuda'} variant
 * @throws {Unavailable} if $LIBTENSORFLOW names nothing
 */
function preparedFolder(environment, variant) {
  const given = environment['LIBTENSORFLOW'];
  if (!given) return cacheFolder(`libtensorflow-${VERSION}-${variant}`, environment);
  if (!existsSync(given)) {
    throw new Unavailable(
      `LIBTENSORFLOW names ${given}, which does not exist; correct or unset it`,
    );
  }
  const { size, mtimeMs } = statSync(given);
  const identity = createHash('sha256').update(`${realpathSync(given)} ${size} ${mtimeMs}`);
  return cacheFolder(`libtensorflow-given-${identity.digest('hex').slice(0, 12)}`, environment);
}

/**
 * Whether the package is linked to the library that `environment` asks for, and the library is whole.
 * @param {string} packageFolder of tfjs-node-gpu
 * @param {NodeJS.ProcessEnv} environment
 * @param {'cpu' | 'cuda'} variant
 */
export function libtensorflowReady(packageFolder, environment, variant) {
  const deps = join(packageFolder, 'deps');
  if (!isLibtensorflow(deps)) return false;
  // The package's own download is a folder there, not a link.
  if (!lstatSync(deps).isSymbolicLink()) return !environment['LIBTENSORFLOW'];
  try {
    return readlinkSync(deps) === preparedFolder(environment, variant);
  } catch (error) {
    if (error instanceof Unavailable) return false;
    throw error;
  }
}

/**
 * Prepares the library and links it into the package.
 * @param {string} packageFolder of tfjs-node-gpu
 * @param {NodeJS.ProcessEnv} environment
 * @param {'cpu' | 'cuda'} variant
 * @throws {Unavailable} if none of the sources has it
 */
export async function prepareLibtensorflow(packageFolder, environment, variant) {
  if (libtensorflowReady(packageFolder, environment, variant)) return;
  const folder = preparedFolder(environment, variant);
  const given = environment['LIBTENSORFLOW'];
  if (!isLibtensorflow(folder)) {
    if (given) await layOutGiven(resolve(given), folder);
    else {
      try {
        await fetchWheel(folder, variant);
      } catch (error) {
        say(
          `${error instanceof Error ? error.message : error}; trying tfjs-node-gpu's own download`,
        );
        await packageDownload(packageFolder, variant, error);
        return;
      }
    }
  }
  linkDeps(packageFolder, folder);
}

/**
 * @param {string} packageFolder
 * @param {string} folder
 */
function linkDeps(packageFolder, folder) {
  const deps = join(packageFolder, 'deps');
  rmSync(deps, { recursive: true, force: true });
  symlinkSync(folder, deps);
}

/**
 * @param {string} given folder or archive
 * @param {string} folder
 */
async function layOutGiven(given, folder) {
  await makeWhole(
    folder,
    () => isLibtensorflow(folder),
    async (partial) => {
      if (statSync(given).isDirectory()) linkParts(given, partial);
      else await timed(`unpacking ${basename(given)}`, () => unpack([given], partial));
      addPlainNames(partial);
      if (!isLibtensorflow(partial)) {
        throw new Unavailable(
          `LIBTENSORFLOW=${given} lacks lib/${LIBRARY}, lib/${FRAMEWORK} or include/${HEADER}; name a folder or archive of TensorFlow's C library, or unset it`,
        );
      }
    },
  );
}

/**
 * @param {string} given folder with `lib/`, or an unpacked wheel's `tensorflow/` with `nvidia/` beside it
 * @param {string} partial
 */
function linkParts(given, partial) {
  const libraries = existsSync(join(given, 'lib')) ? join(given, 'lib') : given;
  mkdirSync(join(partial, 'lib'));
  for (const name of readdirSync(libraries)) {
    if (/\.so(\.|$)/.test(name)) symlinkSync(join(libraries, name), join(partial, 'lib', name));
  }
  symlinkSync(join(given, 'include'), join(partial, 'include'));
  // The loader expands $ORIGIN to the folder of the link, not of its target.
  const nvidia = [given, dirname(given)].map((folder) => join(folder, 'nvidia')).find(existsSync);
  if (nvidia !== undefined) symlinkSync(nvidia, join(partial, 'nvidia'));
}

/**
 * Adds the names that the addon is linked with to the versioned files.
 * @param {string} partial
 */
function addPlainNames(partial) {
  const lib = join(partial, 'lib');
  /** @type {[string, string[]][]} */
  const names = [
    [LIBRARY, ['libtensorflow_cc.so.2', 'libtensorflow.so.2']],
    [FRAMEWORK, ['libtensorflow_framework.so.2']],
  ];
  for (const [plain, versioned] of names) {
    const there = versioned.find((name) => existsSync(join(lib, name)));
    if (there !== undefined && !existsSync(join(lib, plain))) symlinkSync(there, join(lib, plain));
  }
}

/**
 * @param {string} folder
 * @param {'cpu' | 'cuda'} variant
 */
async function fetchWheel(folder, variant) {
  if (process.arch !== 'x64') {
    throw new Unavailable(`TensorFlow's wheel is pinned for x86-64 only, not ${process.arch}`);
  }
  if (!hasPip()) {
    throw new Unavailable('pip is missing: sudo apt-get install python3-pip');
  }
  await makeWhole(
    folder,
    () => isLibtensorflow(folder),
    async (partial) => {
      const wheels = join(partial, 'wheels');
      mkdirSync(wheels);
      const requirement = join(partial, 'requirement.txt');
      writeFileSync(
        requirement,
        variant === 'cpu'
          ? `tensorflow-cpu==${VERSION} --hash=sha256:${WHEEL_SHA256}\n`
          : `tensorflow[and-cuda]==${VERSION}\n`,
      );
      const pinned = variant === 'cpu' ? ['--no-deps', '--require-hashes'] : [];
      const size = variant === 'cpu' ? '274 MB' : 'about 3 GB';
      await timed(`fetching TensorFlow ${VERSION} (${variant}, ${size})`, () =>
        run('python3', [
          '-m',
          'pip',
          'download',
          '--no-cache-dir',
          '--disable-pip-version-check',
          '--only-binary=:all:',
          ...WHEEL_PYTHON,
          ...manylinuxTags(glibcVersion()),
          ...pinned,
          '--dest',
          wheels,
          '-r',
          requirement,
        ]),
      );
      const archives = readdirSync(wheels).map((name) => join(wheels, name));
      await timed('unpacking TensorFlow', () => unpack(archives, partial));
      addPlainNames(partial);
      rmSync(wheels, { recursive: true });
      rmSync(requirement);
      if (!isLibtensorflow(partial))
        throw new Unavailable("TensorFlow's wheel lacks its C library");
    },
  );
}

/**
 * pip's options that allow all Linux wheels that this C library can load. pip does not infer older tags from newer ones:
 * it takes only wheels with a tag that is named, and NVIDIA's wheels use many.
 * @param {string} glibc such as 2.36
 */
export function manylinuxTags(glibc) {
  const newest = Number(glibc.split('.')[1]);
  const tags = ['manylinux2014_x86_64'];
  for (let minor = 17; minor <= newest; minor++) tags.unshift(`manylinux_2_${minor}_x86_64`);
  return tags.flatMap((tag) => ['--platform', tag]);
}

/** The version of the C library; that of TensorFlow's wheel if it is not glibc. */
function glibcVersion() {
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
    process.report.getReport()
  );
  return header.glibcVersionRuntime ?? '2.27';
}

/**
 * @param {string[]} archives
 * @param {string} target
 */
async function unpack(archives, target) {
  if (!works('python3', ['--version'])) {
    throw new Unavailable('python3 is missing: sudo apt-get install python3-pip');
  }
  await run('python3', ['-c', UNPACK, target, ...archives]);
}

/**
 * @param {string} packageFolder
 * @param {'cpu' | 'cuda'} variant
 * @param {unknown} before what kept the wheel from being used
 */
async function packageDownload(packageFolder, variant, before) {
  const deps = join(packageFolder, 'deps');
  const kind = variant === 'cpu' ? 'cpu' : 'gpu';
  // The script then tries to fetch or build the addon. A failure there does no harm: it is built here.
  await timed("tfjs-node-gpu's own download", () =>
    run(process.execPath, ['scripts/install.js', kind, 'download'], { cwd: packageFolder }).catch(
      () => undefined,
    ),
  );
  if (!isLibtensorflow(deps)) {
    rmSync(deps, { recursive: true, force: true });
    const reason = before instanceof Error ? before.message.split('\n')[0] : String(before);
    throw new Unavailable(`${reason} (and tfjs-node-gpu's own download failed)`);
  }
}
