/**
 * Prints versions, backend, devices and threads, what is missing and how to get it. Changes nothing.
 *
 *     twotower doctor
 *     twotower doctor --json
 */
import type { Gpu } from '../backend/backend.js';
import { diagnose } from '../library/diagnose.js';
import type { Diagnosis } from '../library/diagnose.js';
import { print, printJson } from '../report/printing.js';
import { defineCommand } from './option_table.js';
import { jsonOption } from './output_options.js';

export const command = defineCommand({
  command: 'doctor',
  options: jsonOption,
  examples: [
    ['doctor', 'Why a GPU or a backend is missing, and the remedy'],
    ['doctor --json', 'The same as JSON'],
  ],
  run: async ({ json }) => {
    const diagnosis = await diagnose();
    if (json) printJson(diagnosis);
    else printDiagnosis(diagnosis);
  },
});

function printDiagnosis(diagnosis: Diagnosis): void {
  const {
    versions,
    platform,
    backend,
    nativeAddon,
    gpus,
    visibleGpus,
    cudaFiles,
    nccl,
    threads,
    missing,
  } = diagnosis;
  const rows = [
    ['platform', `${platform.name}: ${platform.offers}`],
    ['twotower', versions.twotower],
    ['node', versions.node],
    ['tfjs', versions.tfjs],
    ['TensorFlow', versions.tensorflow ?? 'none'],
    ['oneDNN', versions.oneDnn ?? 'none'],
    ['JPEGs', versions.libjpegTurbo === null ? 'sharp' : `libjpeg-turbo ${versions.libjpegTurbo}`],
    ...(versions.nvjpeg === null ? [] : [['', `nvJPEG ${versions.nvjpeg} on GPUs`]]),
    ['backend', nativeAddon === null ? backend : `${backend}, ${nativeAddon}`],
    [
      'CUDA',
      versions.cuda === null ? 'none' : `${versions.cuda}, driver for ${versions.cudaOfDriver!}`,
    ],
    ...cudaFiles.map((file) => ['', file]),
    ['NCCL', nccl === null ? 'none' : `${nccl.version}, ${nccl.file}`],
    ['GPUs', gpus.length === 0 ? 'none' : describeGpu(gpus[0]!)],
    ...gpus.slice(1).map((gpu) => ['', describeGpu(gpu)]),
    ...(visibleGpus === null
      ? []
      : [['', `of those that CUDA_VISIBLE_DEVICES=${visibleGpus} names, in its order`]]),
    ['CPU threads', String(threads)],
    ['missing', missing.length === 0 ? 'nothing' : missing[0]!],
    ...missing.slice(1).map((line) => ['', line]),
  ];
  for (const [name, value] of rows) print(`${name!.padEnd(12)} ${value!}`);
}

function describeGpu({ ordinal, name, uuid, bytes, capability }: Gpu): string {
  const memory = bytes === undefined ? [] : [`${(bytes / 2 ** 30).toFixed(1)} GiB`];
  const architecture = capability === undefined ? [] : [`compute capability ${capability}`];
  return [`gpu:${ordinal} ${name}`, ...memory, ...architecture, ...(uuid ? [uuid] : [])].join(', ');
}
