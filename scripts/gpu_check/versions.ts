/** The GPUs, the driver, and the versions and files of what computes on them. */
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { loadCudaAddon } from '../../src/backend/native/cuda_addon.js';
import { programVersion } from '../../src/program_version.js';
import { formatBytes } from '../../src/report/text.js';
import type { Report } from './figures.js';
import { gpusHere } from './settings.js';
import type { Settings } from './settings.js';
import { usableCores } from '../../src/usable_cores.js';

/** Where Linux shows the version of NVIDIA's driver. */
const DRIVER_VERSION = '/proc/driver/nvidia/version';

/** Opens all libraries. @throws Error that names the missing one */
export function reportVersions(_: Settings, report: Report): Promise<void> {
  for (const { ordinal, name, capability, bytes } of gpusHere()) {
    const value = `${name}, compute capability ${capability}, ${formatBytes(bytes)}`;
    report({ name: `GPU ${ordinal}`, value });
  }
  const libraries = loadCudaAddon().libraries();
  if (existsSync(DRIVER_VERSION)) {
    const [line] = readFileSync(DRIVER_VERSION, 'utf8').split('\n');
    report({ name: 'driver', value: line!.trim() });
  }
  report({ name: "the driver's CUDA", value: libraries.cuda });
  report({ name: 'NVRTC', value: libraries.nvrtc });
  const files = {
    driver: libraries.driverFile,
    NVRTC: libraries.nvrtcFile,
    cuBLASLt: libraries.cublasLtFile,
    cuDNN: libraries.cudnnFile,
  };
  for (const [library, file] of Object.entries(files)) {
    report({ name: `file of ${library}`, value: whole(file) });
  }
  for (const name of packagesOf(Object.values(files))) report({ name: 'package', value: name });
  report({ name: 'twotower', value: programVersion() });
  report({ name: 'Node', value: process.version });
  report({ name: 'CPU cores', value: usableCores() });
  return Promise.resolve();
}

/** The file itself, whose name may have the whole version. What the system's loader found has no path. */
function whole(file: string): string {
  return existsSync(file) ? realpathSync(file) : file;
}

/** NVIDIA's Python packages beside those that files belong to, with their versions, which those files do not have. */
function packagesOf(files: string[]): string[] {
  const folders = new Set(files.map((file) => file.split('/nvidia/')[0]!).filter(isFolder));
  return [...folders]
    .flatMap((folder) => readdirSync(folder))
    .filter((name) => /^nvidia_.*\.dist-info$/.test(name))
    .map((name) => name.replace(/\.dist-info$/, '').replace('-', ' '))
    .sort();
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
