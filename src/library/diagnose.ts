/** What this host can compute with: `diagnose` of the package, and all that the command `doctor` finds out. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { libjpegTurboVersion, whyNoLibjpegTurbo } from '../data/jpeg_decoder.js';
import {
  availableBackend,
  prepareProcess,
  probe,
  whyMissing,
  type BackendName,
  type Gpu,
  type Probe,
} from '../backend/backend.js';
import { notLoaded } from '../set_up_parts.js';

/** What this host can compute with, and what is missing. */
export interface Diagnosis {
  versions: {
    twotower: string;
    node: string;
    tfjs: string;
    tensorflow: string | null;
    oneDnn: string | null;
    /** null: sharp decodes all images. */
    libjpegTurbo: string | null;
  };
  backend: BackendName;
  gpus: Gpu[];
  /** CPU threads that the operating system lets this process use. */
  threads: number;
  /** What keeps a backend or a GPU from being used, each with its remedy. */
  missing: string[];
}

/**
 * Loads the backends in threads of their own, as training does, and asks them. Changes nothing.
 */
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
  const gpus = tensorflow?.gpus ?? [];
  if (gpus.length === 0) {
    missing.push(
      'no GPU that TensorFlow can use, so CPU workers carry out `--gpus`: install an NVIDIA driver (nvidia-smi then lists the GPUs) and run npm run setup',
    );
  }
  const libjpegTurbo = libjpegTurboVersion();
  if (libjpegTurbo === null) {
    missing.push(
      `no libjpeg-turbo, so sharp decodes JPEGs, to the same pixels in four times the time: ${whyNoLibjpegTurbo()}`,
    );
  }
  // That backend needs nothing of set-up.
  const { information } = probes.get(backend) ?? (await probe('wasm'));
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return {
    versions: {
      twotower: (JSON.parse(text) as { version: string }).version,
      node: process.versions.node,
      tfjs: information.tfjs,
      tensorflow: tensorflow?.information.tensorflow ?? null,
      oneDnn: information.oneDnn,
      libjpegTurbo,
    },
    backend,
    gpus,
    threads: availableParallelism(),
    missing,
  };
}
