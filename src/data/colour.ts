/**
 * PCA colour augmentation of a training image: one offset for all its pixels, along the principal components of the
 * training set's colours (the paper, section 4.1). It depends only on (seed, epoch, example).
 */
import type { ColourConfiguration } from '../configuration.js';
import { deriveKey, fillNormal } from '../random.js';
import type { DatasetStatistics } from './statistics.js';

/**
 * What a standard normal number along each component adds to a pixel's R, G and B, for pixels from 0 to 1.
 *
 * @returns `[3][3]`, a row per component
 */
export function colourAxes(
  { deviation, scale }: Pick<ColourConfiguration, 'deviation' | 'scale'>,
  { eigenvalues, eigenvectors }: Pick<DatasetStatistics, 'eigenvalues' | 'eigenvectors'>,
): number[][] {
  return eigenvectors.map((vector, component) => {
    const variance = Math.max(0, eigenvalues[component]!) / 255 ** 2;
    const length = deviation * (scale === 'eigenvalue' ? variance : Math.sqrt(variance));
    return vector.map((value) => length * value);
  });
}

/** @returns what is added to R, G and B, for pixels from 0 to 1 */
export function drawColour(seed: number, epoch: number, index: number, axes: number[][]): number[] {
  const draws = new Float32Array(axes.length);
  fillNormal(deriveKey(seed, 'colour', epoch, index), 0, 1, draws);
  return alongAxes(axes, draws);
}

export function alongAxes(axes: number[][], draws: ArrayLike<number>): number[] {
  return [0, 1, 2].map((channel) =>
    axes.reduce((sum, axis, component) => sum + draws[component]! * axis[channel]!, 0),
  );
}
