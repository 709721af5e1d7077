/**
 * `twotower doctor`: versions, backend, devices and threads, what is missing and how to get it. Changes
 * nothing. `--json` prints one object (`Diagnosis`) on stdout.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { CommandModule } from 'yargs';
import {
  availableBackend,
  prepareProcess,
  probe,
  whyMissing,
  type BackendName,
  type Gpu,
} from '../backend/backend.js';
import { print, printJson } from '../report/printing.js';

export interface Diagnosis {
  versions: {
    twotower: string;
    node: string;
    tfjs: string;
    tensorflow: string | null;
    oneDnn: string | null;
  };
  backend: BackendName;
  gpus: Gpu[];
  /** CPU threads that the operating system lets this process use. */
  threads: number;
  /** What keeps a backend or a GPU from being used, each with its remedy. */
  missing: string[];
}

/** Loads the backends in threads of their own, as training does, and asks them. */
async function diagnose(): Promise<Diagnosis> {
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
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return {
    versions: {
      twotower: (JSON.parse(text) as { version: string }).version,
      node: process.versions.node,
      tfjs: information.tfjs,
      tensorflow: tensorflow?.information.tensorflow ?? null,
      oneDnn: information.oneDnn,
    },
    backend,
    gpus,
    threads: availableParallelism(),
    missing,
  };
}

function printDiagnosis({ versions, backend, gpus, threads, missing }: Diagnosis): void {
  const rows = [
    ['twotower', versions.twotower],
    ['node', versions.node],
    ['tfjs', versions.tfjs],
    ['TensorFlow', versions.tensorflow ?? 'none'],
    ['oneDNN', versions.oneDnn ?? 'none'],
    ['backend', backend],
    ['GPUs', gpus.length === 0 ? 'none' : gpus.map(({ ordinal }) => `gpu:${ordinal}`).join(', ')],
    ['CPU threads', String(threads)],
    ['missing', missing.length === 0 ? 'nothing' : missing[0]!],
    ...missing.slice(1).map((line) => ['', line]),
  ];
  for (const [name, value] of rows) print(`${name!.padEnd(12)} ${value!}`);
}

export const command: CommandModule<object, { json: boolean }> = {
  command: 'doctor',
  describe: 'Show versions, backend and devices, and what is missing',
  builder: (line) =>
    line
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object' })
      .example('$0 doctor', 'Where a GPU or TensorFlow is missing: why, and the remedy')
      .example('$0 doctor --json', 'The same for a program'),
  handler: async ({ json }) => {
    const diagnosis = await diagnose();
    if (json) printJson(diagnosis);
    else printDiagnosis(diagnosis);
  },
};
