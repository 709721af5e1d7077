/**
 * `twotower doctor`: versions, backend, devices and threads, what is missing and how to get it. Changes
 * nothing. `--json` prints one object (`Diagnosis`) on stdout.
 */
import type { CommandModule } from 'yargs';
import { diagnose } from '../library/diagnose.js';
import type { Diagnosis } from '../library/diagnose.js';
import { print, printJson } from '../report/printing.js';

function printDiagnosis({ versions, backend, gpus, threads, missing }: Diagnosis): void {
  const rows = [
    ['twotower', versions.twotower],
    ['node', versions.node],
    ['tfjs', versions.tfjs],
    ['TensorFlow', versions.tensorflow ?? 'none'],
    ['oneDNN', versions.oneDnn ?? 'none'],
    ['JPEGs', versions.libjpegTurbo === null ? 'sharp' : `libjpeg-turbo ${versions.libjpegTurbo}`],
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
