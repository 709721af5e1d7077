/** The mean of a Caffe network's training images, in a run's configuration and statistics. */
import { basename } from 'node:path';
import type { Configuration } from '../configuration.js';
import type { DatasetStatistics } from '../data/statistics.js';
import { UserError } from '../errors.js';
import { refuseOtherMeanImage } from '../runs/statistics.js';
import { readMeanFile } from './caffe_files.js';

/**
 * The configuration with the mean that a Caffe network was trained with.
 *
 * @param mean a `.binaryproto`, or `B,G,R` from 0 to 255; undefined: the configuration has the values itself
 * @returns statistics: of the mean file; null if there is none
 * @throws UserError if the mean is missing, or is no mean of such images
 */
export function withMean(
  configuration: Configuration,
  mean: string | undefined,
): { asked: Configuration; statistics: DatasetStatistics | null } {
  const { data, name } = configuration;
  if (mean === undefined) {
    if (typeof data.mean !== 'string') return { asked: configuration, statistics: null };
    throw new UserError(
      `${name} subtracts the mean of its training images: give --mean with the network's .binaryproto, or with the values of blue, green and red: --mean 104,117,123`,
    );
  }
  const values = valuesOf(mean);
  if (values !== null) {
    const [blue, green, red] = values.map((value) => value / 255) as [number, number, number];
    const asked = {
      ...configuration,
      data: { ...data, mean: [red, green, blue] as typeof values },
    };
    return { asked, statistics: null };
  }
  if (data.colour !== null) {
    throw new UserError(
      `${name} augments colours along their principal components, which ${mean} does not have: give --set data.colour=null`,
    );
  }
  const asked: Configuration = { ...configuration, data: { ...data, mean: 'image' } };
  const statistics = statisticsFrom(mean);
  refuseOtherMeanImage(asked, statistics);
  return { asked, statistics };
}

/** Three numbers from 0 to 255; null if it is a file's name. */
function valuesOf(mean: string): [number, number, number] | null {
  if (!/^[\d.]+(,[\d.]+)*$/.test(mean)) return null;
  const values = mean.split(',').map(Number);
  if (values.length === 3 && values.every((value) => value <= 255)) {
    return values as [number, number, number];
  }
  throw new UserError(
    `--mean ${mean}: give a file, or three numbers from 0 to 255 (blue, green, red), as 104,117,123`,
  );
}

/** A mean image says nothing of how colours vary about it. */
function statisticsFrom(file: string): DatasetStatistics {
  const { shape, data } = readMeanFile(file);
  const [height, width] = shape as [number, number];
  const mean = [0, 1, 2].map((channel) => {
    let sum = 0;
    for (let at = channel; at < data.length; at += 3) sum += data[at]!;
    return sum / (height * width);
  });
  const zeros = () => [0, 1, 2].map(() => [0, 0, 0]);
  return {
    dataset: basename(file),
    ...{ images: 0, height, width, meanImage: data, mean },
    ...{ covariance: zeros(), eigenvalues: [0, 0, 0], eigenvectors: zeros() },
  };
}
