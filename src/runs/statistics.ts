/**
 * What a run takes from its training images before it starts: the statistics behind `data.mean` and
 * `data.colour`, kept in `runs/NAME/statistics.msgpack` so that the run goes on, and is tested, with the
 * very same. Called by the library's functions.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Configuration, DataConfiguration } from '../configuration.js';
import type { Dataset } from '../data/dataset.js';
import {
  type DatasetStatistics,
  STATISTICS,
  readStatistics,
  statisticsBytes,
} from '../data/statistics.js';
import { computeStatistics } from '../data/compute_statistics.js';
import { centreWindow } from '../data/views.js';
import { verifySummedFiles, writeSummedFiles } from '../checksums.js';
import { UserError } from '../errors.js';
import type { RunEvents } from './events.js';

/** (pixel / 255 − mean) / std, where `meanImage`, `[height, width, 3]`, has been divided so as well. */
export interface Normalization {
  mean: number[];
  std: number[];
  meanImage: Float32Array | null;
}

function needsStatistics({ mean, colour }: DataConfiguration): boolean {
  return typeof mean === 'string' || colour !== null;
}

/** Whether a run needs no images to be normalized as it was trained. */
export function hasItsStatistics(data: DataConfiguration, runPath: string): boolean {
  return !needsStatistics(data) || existsSync(fileIn(runPath));
}

/**
 * The run's own where it has them, else the data set's, read through where it was not prepared; null where
 * the configuration asks for none.
 *
 * @param runPath run folder; undefined for a run that is new
 * @param events hears `progress`
 * @throws UserError where the data set was prepared at another size than the mean image must have
 */
export async function statisticsFor(
  { data, network }: Configuration,
  dataset: Dataset,
  runPath: string | undefined,
  events?: RunEvents,
): Promise<DatasetStatistics | null> {
  if (!needsStatistics(data)) return null;
  const { view } = data;
  const { height, width } =
    view.type === 'crop' ? { height: view.from, width: view.from } : network.input;
  const kept = runPath === undefined ? null : keptStatistics(runPath);
  const statistics =
    kept ??
    dataset.statistics ??
    (await computeStatistics(dataset, height, width, (done, of) =>
      events?.emit('progress', { doing: 'reading through', unit: 'images', done, of }),
    ));
  const fits = statistics.height === height && statistics.width === width;
  if (data.mean === 'image' && !fits) {
    throw new UserError(
      `data.mean is "image", but the data's mean image is ${statistics.height}×${statistics.width} where ${height}×${width} is needed: set data.view to {"type": "crop", "from": ${statistics.height}}, or data.mean to "channel"`,
    );
  }
  return statistics;
}

/** Keeps them in the run folder. */
export function keepStatistics(runPath: string, statistics: DatasetStatistics | null): void {
  if (statistics !== null && !existsSync(fileIn(runPath))) {
    writeSummedFiles(runPath, { [STATISTICS]: [statisticsBytes(statistics)] });
  }
}

/** @throws UserError where they are damaged */
function keptStatistics(runPath: string): DatasetStatistics | null {
  if (!existsSync(fileIn(runPath))) return null;
  verifySummedFiles(runPath, [STATISTICS]);
  return readStatistics(fileIn(runPath));
}

function fileIn(runPath: string): string {
  return join(runPath, STATISTICS);
}

/** @param statistics not null where `data.mean` is not three numbers */
export function normalizationOf(
  { data: { mean, std }, network }: Configuration,
  statistics: DatasetStatistics | null,
): Normalization {
  if (typeof mean !== 'string') return { mean, std, meanImage: null };
  if (statistics === null) throw new Error(`data.mean is ${mean}, and there are no statistics`);
  if (mean === 'channel') {
    return { mean: statistics.mean.map((value) => value / 255), std, meanImage: null };
  }
  const { height, width } = network.input;
  const { top, left } = centreWindow(statistics, { height, width });
  const meanImage = new Float32Array(height * width * 3);
  for (let row = 0; row < height; row++) {
    const start = ((top + row) * statistics.width + left) * 3;
    const line = statistics.meanImage.subarray(start, start + width * 3);
    line.forEach((value, at) => {
      meanImage[row * width * 3 + at] = value / 255 / std[at % 3]!;
    });
  }
  return { mean: [0, 0, 0], std, meanImage };
}
