/**
 * Statistics of a data set's training pixels: the mean image, which is subtracted, and the principal components of the
 * colours, along which PCA colour augmentation is drawn (the paper, §2 and §4.1).
 *
 * Pixels are summed as whole numbers that a double holds exactly, up to 2^53 / (255² · 256²) = 2.1 million images of
 * 256². So neither the order nor the division among threads changes the result.
 */
import { pack, unpack } from 'msgpackr';
import { readSmallFile } from '../bounded_file.js';
import { UserError, messageOf } from '../errors.js';

/** Its file, in a prepared folder and in a run's; `checksums.json` is beside it. */
export const STATISTICS = 'statistics.msgpack';
/** Bytes: a mean image of 2048². */
const LONGEST = 1 << 26;

/** All in units of 8-bit pixel values, 0 … 255; colours in the order R, G, B. */
export interface DatasetStatistics {
  /** Identity of the data set, so that the statistics of another one are noticed. */
  dataset: string;
  /** Number of training images; 0 if all that is known is their mean image, from a file of Caffe's. */
  images: number;
  /** Pixels of the mean image. */
  height: number;
  width: number;
  /** float32 [height, width, 3] */
  meanImage: Float32Array;
  /** `[3]`: over all pixels of all images. */
  mean: number[];
  /** [3][3]: of the colours of all pixels, about `mean`, divided by the number of pixels. */
  covariance: number[][];
  /** `[3]`: the variances along `eigenvectors`, the largest first. */
  eigenvalues: number[];
  /** [3][3]: a row each, of length 1; its largest component is positive. */
  eigenvectors: number[][];
}

/** Pairs of channels whose products are summed: the covariance's upper triangle. */
const PAIRS = [
  [0, 0],
  [0, 1],
  [0, 2],
  [1, 1],
  [1, 2],
  [2, 2],
] as const;

/** Sums over images, which are added across threads and kept across interruptions. */
export interface PixelSums {
  images: number;
  height: number;
  width: number;
  /** float64 [height, width, 3], whole numbers */
  pixels: Float64Array;
  /** `[6]`: of the products of channels, in the order of the covariance's upper triangle. */
  products: number[];
}

export function emptySums(height: number, width: number): PixelSums {
  const pixels = new Float64Array(height * width * 3);
  return { images: 0, height, width, pixels, products: PAIRS.map(() => 0) };
}

/** @param pixels uint8 [height, width, 3] */
export function addImage(sums: PixelSums, pixels: Uint8Array): void {
  const total = sums.pixels;
  let [rr, rg, rb, gg, gb, bb] = [0, 0, 0, 0, 0, 0];
  for (let at = 0; at < total.length; at += 3) {
    const red = pixels[at]!;
    const green = pixels[at + 1]!;
    const blue = pixels[at + 2]!;
    total[at]! += red;
    total[at + 1]! += green;
    total[at + 2]! += blue;
    rr += red * red;
    rg += red * green;
    rb += red * blue;
    gg += green * green;
    gb += green * blue;
    bb += blue * blue;
  }
  [rr, rg, rb, gg, gb, bb].forEach((product, pair) => (sums.products[pair]! += product));
  sums.images++;
}

/** Adds `more`, of the same size, to `sums`. */
export function addSums(sums: PixelSums, more: PixelSums): void {
  sums.images += more.images;
  more.pixels.forEach((value, at) => (sums.pixels[at]! += value));
  more.products.forEach((value, pair) => (sums.products[pair]! += value));
}

/** @param dataset becomes the statistics' `dataset` @param sums of at least one image */
export function statisticsOf(dataset: string, sums: PixelSums): DatasetStatistics {
  const { images, height, width, pixels, products } = sums;
  const count = images * height * width;
  const totals = [0, 0, 0];
  pixels.forEach((value, at) => (totals[at % 3]! += value));
  const mean = totals.map((total) => total / count);
  const covariance = [0, 1, 2].map(() => [0, 0, 0]);
  PAIRS.forEach(([row, column], pair) => {
    const value = products[pair]! / count - mean[row]! * mean[column]!;
    covariance[row]![column] = covariance[column]![row] = value;
  });
  return {
    dataset,
    images,
    height,
    width,
    meanImage: Float32Array.from(pixels, (value) => value / images),
    mean,
    covariance,
    ...eigenOf(covariance),
  };
}

/** Jacobi's method: each rotation makes one off-diagonal pair zero; together they converge quadratically. */
function eigenOf(symmetric: number[][]): { eigenvalues: number[]; eigenvectors: number[][] } {
  const matrix = symmetric.map((row) => [...row]);
  const vectors = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  // A 3×3 matrix is diagonal to rounding after five or six sweeps; a pair that is zero is passed over.
  for (let sweep = 0; sweep < 20; sweep++) {
    for (const [p, q] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      const offDiagonal = matrix[p]![q]!;
      if (offDiagonal === 0) continue;
      const theta = (matrix[q]![q]! - matrix[p]![p]!) / (2 * offDiagonal);
      const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
      const cosine = 1 / Math.hypot(tangent, 1);
      const sine = tangent * cosine;
      for (const row of [...matrix, ...vectors]) {
        const [atP, atQ] = [row[p]!, row[q]!];
        row[p] = cosine * atP - sine * atQ;
        row[q] = sine * atP + cosine * atQ;
      }
      const [rowP, rowQ] = [[...matrix[p]!], [...matrix[q]!]];
      matrix[p] = rowP.map((value, column) => cosine * value - sine * rowQ[column]!);
      matrix[q] = rowQ.map((value, column) => cosine * value + sine * rowP[column]!);
    }
  }
  const order = [0, 1, 2].sort((a, b) => matrix[b]![b]! - matrix[a]![a]!);
  return {
    eigenvalues: order.map((index) => matrix[index]![index]!),
    eigenvectors: order.map((index) => withPositivePeak(vectors.map((row) => row[index]!))),
  };
}

/** A vector and its opposite are equally right. This choice makes the augmentation the same on every machine. */
function withPositivePeak(vector: number[]): number[] {
  const peak = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  return peak < 0 ? vector.map((value) => -value) : vector;
}

/** The content of `STATISTICS`: msgpack, an object of `DatasetStatistics` with the mean image as float32 bytes. */
export function statisticsBytes(statistics: DatasetStatistics): Uint8Array {
  const { buffer, byteOffset, byteLength } = statistics.meanImage;
  const meanImage = new Uint8Array(buffer, byteOffset, byteLength);
  return pack({ ...statistics, meanImage });
}

/**
 * @param dataset identity that the statistics must have (default: any)
 * @throws UserError for a file that is missing, damaged or of another data set
 */
export function readStatistics(file: string, dataset?: string): DatasetStatistics {
  let read: Omit<DatasetStatistics, 'meanImage'> & { meanImage: Uint8Array };
  try {
    read = unpack(readSmallFile(file, LONGEST)) as typeof read;
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${messageOf(error)}): run twotower data prepare again into a new folder`,
    );
  }
  const { height, width, meanImage } = read ?? {};
  if (!(meanImage instanceof Uint8Array) || meanImage.length !== height * width * 3 * 4) {
    throw new UserError(`${file} is damaged: run twotower data prepare again into a new folder`);
  }
  if (dataset !== undefined && read.dataset !== dataset) {
    throw new UserError(
      `${file} holds the statistics of another data set (${read.images} images): run twotower data prepare again into a new folder`,
    );
  }
  // Copied, as a view of the file's bytes need not be aligned.
  return { ...read, meanImage: new Float32Array(Uint8Array.from(meanImage).buffer) };
}
