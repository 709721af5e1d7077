/** Where the ranks of runs computed: a report's table, and the words for a GPU. */
import { html } from './markup.js';
import type { Markup } from './markup.js';
import { section, table } from './page.js';

/** A GPU with its libraries' files and its memory at the start, bytes. */
export interface ReportedGpu {
  name: string;
  driver: string;
  files: string[];
  bytes: number;
  freeBytes: number;
}

/** What decoded JPEGs, and on which GPUs if not on the CPU. */
export interface ReportedDecoder {
  name: string;
  version: string | null;
  file?: string;
  gpus?: number[];
}

/** The ranks' places by the last start. */
export interface ReportedPlacement {
  placement: {
    rank: number;
    device: string;
    requested: string;
    host?: string;
    gpu?: ReportedGpu;
  }[];
  backend: string;
  /** Absent if there are no JPEGs. */
  jpegDecoder?: ReportedDecoder | undefined;
}

/** E.g. `nvJPEG 13.0 (/usr/lib/libnvjpeg.so.13) on gpu:0 and gpu:1`, or `libjpeg-turbo 2.1.5`. */
export function describeDecoder({ name, version, file, gpus = [] }: ReportedDecoder): string {
  const devices = gpus.map((gpu) => `gpu:${gpu}`).join(' and ');
  return [
    ...[name, version ?? ''],
    ...(file === undefined ? [] : [`(${file})`]),
    ...(devices === '' ? [] : [`on ${devices}`]),
  ]
    .filter((word) => word !== '')
    .join(' ');
}

/** E.g. `NVIDIA H200, 139.8 GiB, 131.0 GiB free, driver for CUDA 13.0`. */
export function describeGpu({ name, bytes, freeBytes, driver }: ReportedGpu): string {
  const gibibytes = (count: number): string => `${(count / 2 ** 30).toFixed(1)} GiB`;
  return `${name}, ${gibibytes(bytes)}, ${gibibytes(freeBytes)} free, driver for CUDA ${driver}`;
}

/** @returns null if no run says where it computed */
export function placementSection(
  runs: readonly {
    name: string;
    summary: ReportedPlacement | null;
    placed?: ReportedPlacement | undefined;
  }[],
): Markup | null {
  const ranks = runs.flatMap(({ name, summary, placed = summary ?? undefined }) =>
    (placed?.placement ?? []).map((rank) => ({ name, backend: placed!.backend, ...rank })),
  );
  if (ranks.length === 0) return null;
  const gpus = ranks.flatMap(({ gpu }) => gpu ?? []);
  const rows = ranks.map(({ name, rank, device, requested, host, gpu, backend }) => [
    name,
    String(rank),
    host === undefined ? device : `${device} on ${host}`,
    ...(gpus.length === 0 ? [] : [gpu === undefined ? '' : describeGpu(gpu)]),
    requested,
    backend,
  ]);
  const decoders = runs.flatMap(({ summary, placed = summary ?? undefined }) =>
    placed?.jpegDecoder === undefined ? [] : [describeDecoder(placed.jpegDecoder)],
  );
  const files = [...new Set(gpus.flatMap((gpu) => gpu.files))];
  return section(
    'Placement',
    table({
      caption: 'Where each tower was computed, by the last start',
      headings: [
        ...['run', 'rank', 'device'],
        ...(gpus.length === 0 ? [] : ['GPU']),
        ...['asked for', 'backend'],
      ],
      rows,
    }),
    ...(files.length === 0
      ? []
      : [html`<p class="note">NVIDIA's libraries: ${files.join(', ')}</p>`]),
    ...[...new Set(decoders)].map(
      (decoder) => html`<p class="note">JPEGs decoded by ${decoder}</p>`,
    ),
  );
}
