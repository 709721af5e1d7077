/** How pixels become the network's input: from the configuration and the statistics of the training images. */
import type { Configuration } from '../configuration.js';
import type { DatasetStatistics } from './statistics.js';
import { centreWindow } from './views.js';

/** Input is pixel / 255 / std − meanImage if there is a mean image, else (pixel / 255 − mean) / std. */
export interface Normalization {
  /** `[3]`, for pixels from 0 to 1. */
  mean: number[];
  /** `[3]`, for pixels from 0 to 1. */
  std: number[];
  /** float32 [height, width, 3] at the network's input, divided by 255 and by `std`; null if `mean` is used. */
  meanImage: Float32Array | null;
}

/** @param statistics required if `data.mean` is `channel` or `image` */
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
