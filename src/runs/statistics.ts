/**
 * Statistics of the training images, for `data.mean` and `data.colour`.
 *
 * Stored in `runs/NAME/statistics.msgpack`, so that resumed runs and tests use the same values.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { verifySummedFiles, writeSummedFiles } from '../checksums.js';
import type { Configuration, DataConfiguration } from '../configuration.js';
import { computeStatistics, sizeBeforeCropping } from '../data/compute_statistics.js';
import type { Dataset } from '../data/examples.js';
import { identityOf } from '../data/dataset_identity.js';
import { STATISTICS, readStatistics, statisticsBytes } from '../data/statistics.js';
import type { DatasetStatistics } from '../data/statistics.js';
import { UserError } from '../errors.js';
import type { RunEvents } from './events.js';

function needsStatistics({ mean, colour }: DataConfiguration): boolean {
  return typeof mean === 'string' || colour !== null;
}

/** Whether images can be normalized for this run without its training images. */
export function hasItsStatistics(data: DataConfiguration, runPath: string): boolean {
  return !needsStatistics(data) || existsSync(fileIn(runPath));
}

/**
 * The run's own statistics if it has them, else those of the data set, computed unless it was prepared.
 *
 * @param dataset null only if `hasItsStatistics`
 * @param runPath run folder; undefined for a new run
 * @param events receives `progress`, and a `warning` if the run's statistics are of another data set
 * @param signal ends the reading at once, with its reason as the error
 * @returns null if the configuration needs no statistics
 * @throws UserError if the data set was prepared at another size than the mean image must have
 */
export async function statisticsFor(
  { data, network }: Configuration,
  dataset: Dataset | null,
  runPath: string | undefined,
  events?: RunEvents,
  signal?: AbortSignal,
): Promise<DatasetStatistics | null> {
  if (!needsStatistics(data)) return null;
  const kept = runPath === undefined ? null : keptStatistics(runPath);
  const statistics = kept ?? (await statisticsOfData(data, network.input, dataset, events, signal));
  if (kept !== null && dataset !== null && kept.dataset !== identityOf(dataset)) {
    const own = kept.images === 0 ? 'its own mean file' : `its own ${kept.images} training images`;
    events?.emit(
      'warning',
      `the run normalizes images with the statistics of ${own}, not of the data set given now: to compute new statistics, start a new run`,
    );
  }
  refuseOtherMeanImage({ data, network }, statistics);
  return statistics;
}

/** @throws UserError if the configuration subtracts a mean image of another size */
export function refuseOtherMeanImage(
  { data, network }: Pick<Configuration, 'data' | 'network'>,
  statistics: DatasetStatistics,
): void {
  const { height, width } = sizeBeforeCropping(data.view, network.input);
  const fits = statistics.height === height && statistics.width === width;
  if (data.mean === 'image' && !fits) {
    throw new UserError(
      `data.mean is "image", but the data's mean image is ${statistics.height}×${statistics.width} where ${height}×${width} is needed: set data.view to {"type": "crop", "from": ${statistics.height}}, or data.mean to "channel"`,
    );
  }
}

async function statisticsOfData(
  data: DataConfiguration,
  input: { height: number; width: number },
  dataset: Dataset | null,
  events: RunEvents | undefined,
  signal: AbortSignal | undefined,
): Promise<DatasetStatistics> {
  if (dataset === null) throw new Error('neither statistics nor a data set');
  if (dataset.statistics !== undefined) {
    return { ...dataset.statistics, dataset: identityOf(dataset) };
  }
  return computeStatistics(dataset, data, input, {
    onProgress: (done, of) =>
      events?.emit('progress', { doing: 'reading through', unit: 'images', done, of }),
    signal,
  });
}

/** Writes statistics into the run folder unless it has some. */
export function keepStatistics(runPath: string, statistics: DatasetStatistics | null): void {
  if (statistics !== null && !existsSync(fileIn(runPath))) {
    writeSummedFiles(runPath, { [STATISTICS]: [statisticsBytes(statistics)] });
  }
}

/** The statistics in the run folder; null if it has none. @throws UserError if they are damaged */
export function keptStatistics(runPath: string): DatasetStatistics | null {
  if (!existsSync(fileIn(runPath))) return null;
  verifySummedFiles(runPath, [STATISTICS]);
  return readStatistics(fileIn(runPath));
}

function fileIn(runPath: string): string {
  return join(runPath, STATISTICS);
}
