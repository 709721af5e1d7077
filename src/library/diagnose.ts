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
} from '../backend/backend.js';

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
  const { information } = await probe(backend);
  const reason = whyMissing('tensorflow');
  const tensorflow = reason === null ? await probe('tensorflow') : null;
  const gpus = tensorflow?.gpus ?? [];
  const missing = warning === undefined ? [] : [warning];
  if (reason !== null) missing.push(`no tensorflow backend: ${reason}`);
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
