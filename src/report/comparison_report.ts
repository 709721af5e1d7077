/** The page of `compare --report`: the timings of placements, one bar each, divided into its parts. */
import { html } from './markup.js';
import { section, table } from './page.js';
import type { PageContent } from './page.js';
import type { Spread } from './quantiles.js';
import { dividedStep, dividedTime } from './step_time.js';
import { formatBytes, formatCount } from './text.js';

/** What `compare` measured. */
export interface ReportedComparison {
  preset: string;
  /** Batch size. */
  batch: number;
  /** Timed steps per placement. */
  steps: number;
  /** Number of hosts; absent if there is one. */
  hosts?: number;
  rows: {
    name: string;
    placement: number[][];
    msPerStep: Spread;
    imagesPerSecond: number;
    speedup: number;
    parts: {
      forwardMs: number;
      backwardMs: number;
      exchangeCopyMs: number;
      exchangeWaitMs: number;
      updateMs: number;
      exposedMs?: number;
    };
    exchangeBytes: number;
    workers: { device: string; parameters: number; peakBytes: number }[];
  }[];
}

/** `replicas, 2 hosts` */
export function nameOnHosts(name: string, hosts: number): string {
  return name === 'one host' ? name : `${name}, ${hosts} hosts`;
}

export function comparisonReport(comparison: ReportedComparison): PageContent {
  const { preset, batch, steps, hosts, rows } = comparison;
  const milliseconds = (value: number): string => value.toFixed(1);
  const label = (row: (typeof rows)[number]): string =>
    hosts === undefined
      ? `${row.name} ${JSON.stringify(row.placement)}`
      : nameOnHosts(row.name, hosts);
  return {
    title: `${preset}: placements compared`,
    subtitle: `Batch ${batch}, ${steps} timed ${steps === 1 ? 'step' : 'steps'} of each placement, taken in turn`,
    sections: [
      section(
        'Time of a step',
        table({
          caption: 'Milliseconds per step',
          headings: ['placement', 'median', 'p10', 'p90', 'images/s', 'speed-up'],
          rows: rows.map((row) => [
            label(row),
            milliseconds(row.msPerStep.median),
            milliseconds(row.msPerStep.p10),
            milliseconds(row.msPerStep.p90),
            row.imagesPerSecond.toFixed(1),
            `${row.speedup.toFixed(2)}×`,
          ]),
          numeric: true,
        }),
        html`<p class="note">
          ${
            hosts === undefined
              ? 'Speed-up: over the dense network, whose every kernel sees every channel.'
              : "Speed-up: over one host. The parts are those of the first host's workers."
          }
        </p>`,
      ),
      dividedTime(
        rows.map((row) => ({
          label: `${label(row)}: ${milliseconds(row.msPerStep.median)} ms`,
          parts: dividedStep(row.msPerStep.median, {
            forward: row.parts.forwardMs,
            backward: row.parts.backwardMs,
            copy: row.parts.exchangeCopyMs,
            wait: row.parts.exchangeWaitMs,
            ...(row.parts.exposedMs !== undefined && { hosts: row.parts.exposedMs }),
            update: row.parts.updateMs,
          }),
        })),
      ),
      section(
        'Workers',
        table({
          caption: 'What each worker holds and reads',
          headings: ['worker', 'parameters', 'peak of tensors', 'exchanged by all'],
          rows: rows.flatMap(({ name, workers, exchangeBytes }) =>
            workers.map(({ device, parameters, peakBytes }, worker) => [
              `${name}, worker ${worker} on ${device}`,
              formatCount(parameters),
              formatBytes(peakBytes),
              formatBytes(exchangeBytes),
            ]),
          ),
          numeric: true,
        }),
      ),
    ],
  };
}
