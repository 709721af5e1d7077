/** What this host can compute with: `diagnose` of the package, whose result the command `doctor` prints. */
import { noNvJpeg } from '../data/choose_jpeg_decoder.js';
import { libjpegTurboVersion, slowJpegWarning } from '../data/jpeg_decoder.js';
import {
  availableBackend,
  listGpus,
  prepareProcess,
  probe,
  whyMissing,
  type BackendName,
  type Gpu,
  type Probe,
} from '../backend/backend.js';
import { loadCudaAddon, type CudaLibraries } from '../backend/native/cuda_addon.js';
import type { NvJpeg } from '../backend/native/cuda_jpegs.js';
import { messageOf } from '../errors.js';
import { programVersion } from '../program_version.js';
import { addonPlaces, notLoaded } from '../set_up_parts.js';
import { usableCores } from '../usable_cores.js';

/** What this host can compute with, and what is missing. */
export interface Diagnosis {
  versions: {
    twotower: string;
    node: string;
    tfjs: string;
    tensorflow: string | null;
    oneDnn: string | null;
    /** CUDA's, of NVRTC; null if the native backend computes on no GPU here. */
    cuda: string | null;
    /** The newest CUDA that NVIDIA's driver knows; null as before. */
    cudaOfDriver: string | null;
    /** null if sharp decodes all images. */
    libjpegTurbo: string | null;
    /** null if the CPU decodes JPEGs on GPUs too. */
    nvjpeg: string | null;
  };
  /** Such as `linux-x64`, and what can be had there: the table of docs/platforms.md in one line. */
  platform: { name: string; offers: string };
  backend: BackendName;
  /** Whether the native backend came with the package or was compiled here; null if another backend is used. */
  nativeAddon: 'prebuilt' | 'compiled' | null;
  gpus: Gpu[];
  /** The variable `CUDA_VISIBLE_DEVICES`, which hides the GPUs that it does not name and numbers the others; null if unset. */
  visibleGpus: string | null;
  /** The driver's and NVIDIA's other libraries' files; empty if the native backend computes on no GPU here. */
  cudaFiles: string[];
  /** NVIDIA's library for sums over hosts; null if it is not found or does not load, or without the others. */
  nccl: { version: string; file: string } | null;
  /** CPU cores that this process may use. */
  threads: number;
  /** What keeps a backend or a GPU from being used, each with its remedy. */
  missing: string[];
}

const OFFERS: Record<string, string> = {
  'linux-x64': 'the native backend, on NVIDIA GPUs too; TensorFlow; WebAssembly',
  'linux-arm64': 'the native backend, compiled at set-up; WebAssembly',
};

function platformOf(system: string, processor: string): Diagnosis['platform'] {
  const name = `${system}-${processor}`;
  return { name, offers: OFFERS[name] ?? 'WebAssembly, on one thread per worker' };
}

/** Loads the backends in threads of their own, as training does, and asks them. It changes nothing. */
export async function diagnose(): Promise<Diagnosis> {
  prepareProcess();
  const { backend, warning } = availableBackend();
  const missing = warning === undefined ? [] : [warning];
  const probes = new Map<BackendName, Probe>();
  for (const name of new Set<BackendName>([backend, 'tensorflow'])) {
    const reason = whyMissing(name);
    try {
      if (reason === null) probes.set(name, await probe(name));
      else missing.push(`no ${name} backend: ${reason}`);
    } catch (error) {
      missing.push(`no ${name} backend: ${notLoaded(error)}`);
    }
  }
  const tensorflow = probes.get('tensorflow');
  const { gpus, cuda, nvjpeg, reasons } = await diagnoseGpus();
  missing.push(...reasons);
  const slowJpegs = slowJpegWarning();
  if (slowJpegs !== null) missing.push(slowJpegs);
  // The fallback needs nothing of set-up.
  const { information } = probes.get(backend) ?? (await probe('wasm'));
  return {
    versions: {
      twotower: programVersion(),
      node: process.versions.node,
      tfjs: information.tfjs,
      tensorflow: tensorflow?.information.tensorflow ?? null,
      oneDnn: information.oneDnn,
      cuda: cuda?.nvrtc ?? null,
      cudaOfDriver: cuda?.cuda ?? null,
      libjpegTurbo: libjpegTurboVersion(),
      nvjpeg: nvjpeg?.version ?? null,
    },
    platform: platformOf(process.platform, process.arch),
    backend,
    nativeAddon:
      backend !== 'native' ? null : addonPlaces('twotower').isPrebuilt ? 'prebuilt' : 'compiled',
    gpus,
    visibleGpus: process.env['CUDA_VISIBLE_DEVICES'] ?? null,
    cudaFiles: cuda === null ? [] : [...filesOf(cuda), ...(nvjpeg === null ? [] : [nvjpeg.file])],
    nccl: cuda === null ? null : ncclLibrary(),
    threads: usableCores(),
    missing,
  };
}

/** The GPUs that a backend can use, and NVIDIA's libraries if that is the native one; what keeps it from them. */
async function diagnoseGpus(): Promise<{
  gpus: Gpu[];
  cuda: CudaLibraries | null;
  nvjpeg: NvJpeg | null;
  reasons: string[];
}> {
  const { gpus, backend, failure } = await listGpus();
  const reasons = failure === undefined ? [] : [failure];
  if (gpus.length === 0 && failure === undefined) {
    reasons.push(
      'no usable GPU, so CPU workers carry out `--gpus`: install an NVIDIA driver (nvidia-smi then lists the GPUs) and run npm run setup',
    );
  }
  if (gpus.length === 0 || backend !== 'native') {
    return { gpus, cuda: null, nvjpeg: null, reasons };
  }
  const orReason = <Found>(find: () => Found, whyNot: (error: unknown) => string): Found | null => {
    try {
      return find();
    } catch (error) {
      reasons.push(whyNot(error));
      return null;
    }
  };
  const cuda = orReason(
    () => loadCudaAddon().libraries(),
    (error) => `no native backend on GPUs: ${messageOf(error)}`,
  );
  const nvjpeg = orReason(() => loadCudaAddon().nvjpeg(), noNvJpeg);
  return { gpus, cuda, nvjpeg, reasons };
}

/** Its absence is no fault: only sums over several hosts use it. */
function ncclLibrary(): Diagnosis['nccl'] {
  try {
    return loadCudaAddon().ncclLibrary();
  } catch {
    return null;
  }
}

function filesOf({ driverFile, nvrtcFile, cublasLtFile, cudnnFile }: CudaLibraries): string[] {
  return [driverFile, nvrtcFile, cublasLtFile, cudnnFile];
}
