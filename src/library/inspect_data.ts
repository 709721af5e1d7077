/**
 * What a data set holds, and a picture of some training images before and after augmentation: `inspectData` of the
 * package.
 */
import type { Configuration, DataConfiguration } from '../configuration.js';
import { colourAxes } from '../data/colour.js';
import { openDataset } from '../data/dataset.js';
import { type Dataset, type ExampleSet, nameOfExample } from '../data/examples.js';
import { Decoder } from '../data/decoder.js';
import { labelOf } from '../data/examples.js';
import { placeOf } from '../data/part.js';
import { type DatasetStatistics } from '../data/statistics.js';
import { computeStatistics } from '../data/compute_statistics.js';
import { UndecodableImage } from '../data/image.js';
import { writeDurably } from '../durable_file.js';
import { deriveKey, permutation } from '../random.js';
import { type Sample, drawSamples } from '../report/sample_figure.js';
import type { Picture } from '../report/markup.js';
import type { RunEvents } from '../runs/events.js';
import { dataAt } from '../data/locate.js';
import { configurationOf } from './recipe.js';

/** What to look at, and what to draw. */
export interface InspectDataOptions {
  /** Any folder that `data` of a recipe takes. */
  directory: string;
  /** Preset whose augmentation is drawn (default: `cifar10-quick` for CIFAR-10, else `alexnet-paper`). */
  preset?: string | undefined;
  /** Share of each class that is for training, 0 to 1, if the folder has no test set. */
  split?: number | undefined;
  /** PNG file (default: nothing is drawn). */
  out?: string | undefined;
  /** Training images to draw (default 8). */
  samples?: number | undefined;
  /** Receives `warning` and `progress`. */
  events?: RunEvents | undefined;
  /** Aborted: the function rejects at once with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What a data set holds. */
export interface DataInspection {
  classes: { name: string; train: number; test: number }[];
  /** Pixels of the training images, or of some drawn at random where there are many files. */
  sizes: { images: number; width: Extent; height: Extent };
  /** Of the same images. */
  statistics: DatasetStatistics;
}

/** The least, the middle and the largest of a length in pixels. */
export interface Extent {
  least: number;
  median: number;
  most: number;
}

/** Image files that are read for statistics which nothing has gathered yet. */
const STATISTICS_IMAGES = 500;
/** Drawn of each sample. */
const EPOCHS = 4;

/** @throws UserError for a folder that cannot be trained on */
export async function inspectData(options: InspectDataOptions): Promise<DataInspection> {
  const { directory, out, samples = 8, signal } = options;
  const { source } = dataAt(directory);
  const preset = options.preset ?? (source === 'cifar10' ? 'cifar10-quick' : 'alexnet-paper');
  const configuration = configurationOf({ preset, data: directory, split: options.split });
  const dataset = await openDataset(configuration.data, signal);
  dataset.notices?.forEach((notice) => options.events?.emit('warning', notice));
  const [train, test] = [labelsOf(dataset.train), labelsOf(dataset.test)];
  const [trainCounts, testCounts] = [train, test].map((labels) => countsOf(labels));
  const classes = dataset.classes.map((name, label) => ({
    name,
    train: trainCounts!.get(label) ?? 0,
    test: testCounts!.get(label) ?? 0,
  }));
  const { data, network } = configuration;
  const chosen = some(dataset);
  const sizes = await sizesOf(chosen, options);
  const statistics =
    dataset.statistics ??
    (await computeStatistics(chosen, data, network.input, {
      onProgress: (done, of) =>
        options.events?.emit('progress', { doing: 'reading through', unit: 'images', done, of }),
      signal,
    }));
  if (out !== undefined) {
    const drawn = await drawnSamples(configuration, { ...dataset, statistics }, train, samples);
    writeDurably(out, [await drawSamples(drawn)]);
  }
  return { classes, sizes, statistics };
}

function countsOf(labels: Int32Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}

/** Files that cannot be decoded are left out. */
async function sizesOf(
  { train, statistics }: Dataset,
  { events, signal }: Pick<InspectDataOptions, 'events' | 'signal'>,
): Promise<DataInspection['sizes']> {
  if (train.kind !== 'folder') {
    const { width, height } = statistics ?? { width: 32, height: 32 };
    return { images: train.count, width: extentOf([width]), height: extentOf([height]) };
  }
  const { sizeOfImageFile } = await import('../data/image_file.js');
  const [widths, heights]: [number[], number[]] = [[], []];
  for (let done = 0; done < train.count; done++) {
    signal?.throwIfAborted();
    events?.emit('progress', { doing: 'measuring', unit: 'images', done, of: train.count });
    try {
      const { width, height } = await sizeOfImageFile(nameOfExample(train, done));
      widths.push(width);
      heights.push(height);
    } catch (error) {
      if (!(error instanceof UndecodableImage)) throw error;
    }
  }
  return { images: widths.length, width: extentOf(widths), height: extentOf(heights) };
}

/** @param lengths at least one */
function extentOf(lengths: number[]): Extent {
  const sorted = lengths.toSorted((a, b) => a - b);
  return { least: sorted[0]!, median: sorted[sorted.length >> 1]!, most: sorted.at(-1)! };
}

function labelsOf(set: ExampleSet): Int32Array {
  return Int32Array.from({ length: set.count }, (_, index) => labelOf(set, index));
}

/** Some of the training images, if there are many files. */
function some(dataset: Dataset): Dataset {
  const { train } = dataset;
  if (train.kind !== 'folder' || train.count <= STATISTICS_IMAGES) return dataset;
  const some = permutation(deriveKey(0, 'inspect'), train.count).slice(0, STATISTICS_IMAGES);
  const chosen = some.map((index) => placeOf(train, index));
  return { ...dataset, train: { ...train, chosen, count: chosen.length } };
}

/** Images drawn at random: each whole, and as training sees it in its first epochs. */
async function drawnSamples(
  { network, data, training }: Configuration,
  dataset: Dataset & { statistics: DatasetStatistics },
  labels: Int32Array,
  count: number,
): Promise<Sample[]> {
  const { height, width } = network.input;
  const whole = pictures(
    dataset,
    { view: { type: 'resize' }, flip: false },
    height,
    width,
    0,
    null,
  );
  const axes = data.colour === null ? null : colourAxes(data.colour, dataset.statistics);
  const seen = pictures(dataset, data, height, width, training.seed, axes);
  const order = permutation(deriveKey(training.seed, 'samples'), dataset.train.count);
  const samples: Sample[] = [];
  for (const index of order) {
    if (samples.length === count) break;
    const before = await whole(index, null);
    const after: (Picture | null)[] = [];
    for (let epoch = 0; epoch < EPOCHS; epoch++) after.push(await seen(index, epoch));
    if (before === null || !after.every((picture) => picture !== null)) continue;
    samples.push({ name: dataset.classes[labels[index]!]!, before, after });
  }
  return samples;
}

/** @returns what draws an image, in an epoch or whole; null for one that cannot be decoded */
function pictures(
  dataset: Dataset,
  data: Pick<DataConfiguration, 'view' | 'flip' | 'background'>,
  height: number,
  width: number,
  seed: number,
  axes: number[][] | null,
): (index: number, epoch: number | null) => Promise<Picture | null> {
  const pixels = new SharedArrayBuffer(height * width * 3);
  const colours = new SharedArrayBuffer(12);
  const buffers = [{ pixels, labels: new SharedArrayBuffer(4), colours }];
  const { view, flip, background } = data;
  const decoder = new Decoder({
    dataset,
    data: { view, flip, background },
    height,
    width,
    seed,
    colourAxes: axes,
    buffers,
  });
  return async (index, epoch) => {
    const views = Uint32Array.of(index);
    const task = { buffer: 0, first: 0, split: 'train', views, crops: 1, epoch } as const;
    const undecodable = await decoder.decode(task);
    if (undecodable.length > 0) return null;
    // Added as the towers do, to pixels from 0 to 1; what a picture cannot show is cut off.
    const noise = new Float32Array(colours);
    const shown = Uint8ClampedArray.from(
      new Uint8Array(pixels),
      (value, at) => value + 255 * noise[at % 3]!,
    );
    return { width, height, pixels: new Uint8Array(shown.buffer) };
  };
}
