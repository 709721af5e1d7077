/** Classifies single images with a run's network: `predict` of the package. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Configuration } from '../configuration.js';
import type { BatchRing } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/examples.js';
import { setOfFiles } from '../data/folder.js';
import { UndecodableImage } from '../data/image.js';
import { type Colour, decodeImageFile } from '../data/image_file.js';
import { imagesBelow } from '../data/listing.js';
import { UserError } from '../errors.js';
import { type Crops, refuseImpossibleCrops } from '../data/views.js';
import { rowOf, softmax } from '../model/probabilities.js';
import type { Coordinator } from '../parallel/coordinator.js';
import { loadParameters } from '../runs/tensors.js';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import type { RunEvents } from '../runs/events.js';
import { hasItsStatistics, statisticsFor } from '../runs/statistics.js';
import { openRunFolder } from '../runs/layout.js';
import { withTowers } from '../training/session.js';
import { resolveDevices } from './devices.js';
import type { Devices } from './devices.js';
import { configurationOf } from './recipe.js';

/** Classes shown per image: as many as the paper's top-5 error looks at. */
const SHOWN = 5;

export interface PredictOptions extends Devices {
  /** Which checkpoint to use (default: the latest). */
  checkpoint?: CheckpointChoice | undefined;
  /** Crops per image, whose probabilities are averaged (default: as in the run's last test). */
  crops?: Crops | undefined;
  /** Emits `warning`. */
  events?: RunEvents | undefined;
}

export interface Prediction {
  file: string;
  /** Why the file cannot be decoded; undefined if it was. */
  error?: string;
  /** The five most probable classes, or all if there are fewer, the most probable first; none after an error. */
  top: { class: string; label: number; probability: number }[];
}

/**
 * @param path run folder
 * @param files images, and folders of images
 * @returns one prediction per image, in order; an image that cannot be decoded has its error
 * @throws UserError if it is no run folder, has no such checkpoint, or a folder has no images
 */
export async function predict(
  path: string,
  files: string[],
  options: PredictOptions = {},
): Promise<Prediction[]> {
  const folder = openRunFolder(path);
  const { files: checkpoint, state } = chooseCheckpoint(folder, options.checkpoint);
  const recipe = configurationOf({ config: folder.configurationFile });
  // An image left out would shift the others' predictions.
  const configuration: Configuration = { ...recipe, data: { ...recipe.data, undecodableLimit: 0 } };
  const { crops = recipe.test.crops } = options;
  refuseImpossibleCrops(crops, recipe.data.view);
  const resolved = await resolveDevices(options, recipe.towers, recipe.towers);
  const warnings = [...resolved.warnings, ...resolved.jpegWarnings];
  warnings.forEach((warning) => options.events?.emit('warning', warning));
  const images = await imagesIn(files);
  const errors = await errorsOf(images, recipe.data.background);
  const decodable = images.filter((image) => !errors.has(image));
  if (decodable.length === 0) {
    return images.map((file) => ({ file, error: errors.get(file)!, top: [] }));
  }

  // A checkpoint of a trained run knows all that is needed; its data set may be elsewhere by now.
  const isComplete = state.classes !== null && hasItsStatistics(recipe.data, path);
  const trained = isComplete ? null : await openDataset(recipe.data);
  const classes = trained?.classes ?? state.classes!;
  const dataset = datasetOf(decodable, classes);
  const statistics = await statisticsFor(configuration, trained, path, options.events);
  return withTowers(
    { configuration, dataset, statistics, ...resolved },
    async (coordinator, ring) => {
      await loadParameters(coordinator, checkpoint.model);
      const probabilities = await averagedProbabilities(coordinator, ring, crops);
      const tops = new Map(
        decodable.map((file, image) => [file, mostProbable(probabilities[image]!, classes)]),
      );
      return images.map((file) => {
        const error = errors.get(file);
        return error === undefined ? { file, top: tops.get(file)! } : { file, error, top: [] };
      });
    },
  );
}

/** The files, each once, and the images of the folders among them. */
async function imagesIn(files: string[]): Promise<string[]> {
  const images = new Set<string>();
  for (const file of files) {
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory() !== true) images.add(file);
    else {
      const found = await imagesBelow(file, () => {});
      if (found.length === 0) throw new UserError(`${file} has no images`);
      found.forEach((image) => images.add(join(file, image)));
    }
  }
  return [...images];
}

/** Why each of the files cannot be decoded that cannot. */
async function errorsOf(files: string[], background?: Colour): Promise<Map<string, string>> {
  const errors = new Map<string, string>();
  for (const file of files) {
    try {
      await decodeImageFile(file, background);
    } catch (error) {
      if (!(error instanceof UndecodableImage)) throw error;
      errors.set(file, error.reason);
    }
  }
  return errors;
}

function datasetOf(files: string[], classes: string[]): Dataset {
  const set = setOfFiles(files, new Int32Array(files.length));
  return { classes, train: set, test: set };
}

async function averagedProbabilities(
  coordinator: Coordinator,
  ring: BatchRing,
  crops: Crops,
): Promise<number[][]> {
  const views: number[][] = [];
  for await (const batch of ring.test(undefined, crops)) {
    const logits = await coordinator.logitsOf(batch);
    for (let view = 0; view < batch.count; view++) {
      views.push(softmax(rowOf(logits, view, batch.count)));
    }
    batch.release();
  }
  return Array.from({ length: views.length / crops }, (_, image) => {
    const own = views.slice(image * crops, (image + 1) * crops);
    return own[0]!.map((_, label) => own.reduce((sum, view) => sum + view[label]!, 0) / crops);
  });
}

function mostProbable(probabilities: number[], classes: string[]): Prediction['top'] {
  return probabilities
    .map((probability, label) => ({ class: classes[label]!, label, probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, SHOWN);
}
