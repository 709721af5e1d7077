/** Draws a run's kernels, predictions or nearest images: `visualize` of the package. */
import { join } from 'node:path';
import type { Configuration } from '../configuration.js';
import type { BatchRing } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import { writeDurably } from '../durable_file.js';
import type { Coordinator } from '../parallel/coordinator.js';
import { drawNeighbours, drawPredictions } from '../report/image_figures.js';
import { drawKernels } from '../report/kernels.js';
import { formatCount } from '../report/text.js';
import { loadParameters } from '../runs/tensors.js';
import { UserError } from '../errors.js';
import { chooseCheckpoint, withCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import type { RunEvents } from '../runs/events.js';
import { readFirstKernels } from '../runs/first_kernels.js';
import { inspectImages, nearestImages } from '../training/inspection.js';
import { openRunFolder } from '../runs/layout.js';
import { readSafetensors } from '../runs/safetensors.js';
import { statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import { resolveDevices } from './devices.js';
import type { Devices } from './devices.js';
import { imageModelOf } from './image_model.js';
import { layerKernelsFigure, mapsFigure } from './layer_figures.js';
import { dataWarnings, runClasses, withClassesOf } from './preparation.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/** Columns of Figure 4, right, after the test image. */
const NEIGHBOURS = 6;

/** Which picture to draw, and of how much. */
export interface VisualizeOptions extends Pick<Recipe, 'data' | 'split'>, Devices {
  /** The paper's Figure 3, or the left or right half of its Figure 4 (default `kernels`). */
  figure?: 'kernels' | 'predictions' | 'neighbours' | undefined;
  /** Draw this layer's kernels instead, in grey, input by input. */
  layer?: string | undefined;
  /** Draw instead what each layer puts out for this image file. */
  maps?: string | undefined;
  /** Which checkpoint to draw (default: the latest). */
  checkpoint?: CheckpointChoice | undefined;
  /** Test images (default: 8 predictions, 5 neighbours). */
  images?: number | undefined;
  /** Training images among which to search the nearest (default 5000). */
  search?: number | undefined;
  /** PNG file (default: `kernels.png`, `kernels-LAYER.png`, `predictions.png` … in the run folder). */
  out?: string | undefined;
  /** File of lines `NAME IN THE DATA, NAME IN THE RUN`, if the data calls its classes otherwise than the run. */
  classes?: string | undefined;
  /** Emits `warning` and, during a search, `progress`. */
  events?: RunEvents | undefined;
}

/**
 * Draws a figure of a checkpoint.
 *
 * @param path run folder
 * @returns the path of the PNG file
 * @throws UserError if it is no run folder, has no such checkpoint or layer, or its data or image is not there
 */
export async function visualize(path: string, options: VisualizeOptions = {}): Promise<string> {
  const { figure = 'kernels', search = 5000, data, split, checkpoint = 'latest' } = options;
  const images = options.images ?? (figure === 'predictions' ? 8 : 5);
  const folder = openRunFolder(path);
  const configuration = configurationOf({ data, split, config: folder.configurationFile });
  const { layer, maps } = options;
  const name = maps !== undefined ? 'maps' : layer !== undefined ? `kernels-${layer}` : figure;
  const out = options.out ?? join(path, `${name}.png`);
  if (maps !== undefined) {
    const chosen = chooseCheckpoint(folder, checkpoint);
    const model = imageModelOf(folder, chosen, readSafetensors(chosen.files.model));
    writeDurably(out, [await mapsFigure(model, maps)]);
  } else if (layer !== undefined) {
    const { files } = chooseCheckpoint(folder, checkpoint);
    writeDurably(out, [await layerKernelsFigure(configuration, layer, files.model)]);
  } else if (figure === 'kernels') {
    const kernels = withCheckpoint(folder, checkpoint, ({ files }) =>
      readFirstKernels(configuration, files.model),
    );
    if (kernels === null) {
      throw new UserError(
        'the first layer is not a convolution of an RGB image, so there are no kernels to draw',
      );
    }
    const { layer, weights } = kernels;
    writeDurably(out, [await drawKernels(layer, weights, configuration.towers)]);
  } else {
    const { files, state } = chooseCheckpoint(folder, checkpoint);
    const picture = await drawImages(
      path,
      options,
      configuration,
      files.model,
      state.classes,
      async (coordinator, ring, classes) =>
        figure === 'predictions'
          ? drawPredictions(await inspectImages(coordinator, ring.sample('test'), images), classes)
          : neighbours(coordinator, ring, classes, images, search, options.events),
    );
    writeDurably(out, [picture]);
  }
  return out;
}

async function neighbours(
  coordinator: Coordinator,
  ring: BatchRing,
  classes: string[],
  images: number,
  search: number,
  events: RunEvents | undefined,
): Promise<Uint8Array> {
  const queries = await inspectImages(coordinator, ring.sample('test'), images);
  const training = ring.sample('train');
  const onBatch = (done: number): void => {
    events?.emit('progress', { doing: 'searching', unit: 'images', done, of: search });
  };
  const { rows, searched } = await nearestImages(
    coordinator,
    training,
    queries,
    search,
    NEIGHBOURS,
    onBatch,
  );
  const caption = `Nearest of ${formatCount(searched)} training images, by the last hidden layer`;
  return drawNeighbours(rows, classes, caption);
}

/** Opens the run's network on this machine, and its data set. */
async function drawImages(
  path: string,
  given: VisualizeOptions,
  asked: Configuration,
  model: string,
  classes: string[] | null,
  draw: (coordinator: Coordinator, ring: BatchRing, classes: string[]) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { towers } = asked;
  const resolved = await resolveDevices(given, towers, towers);
  const dataset = await openDataset(asked.data, undefined, runClasses(classes, given.classes));
  const configuration = withClassesOf(asked, dataset);
  const warnings = [...resolved.warnings, ...dataWarnings(dataset, resolved)];
  warnings.forEach((warning) => given.events?.emit('warning', warning));
  const statistics = await statisticsFor(configuration, dataset, path, given.events);
  return withTowers(
    { configuration, dataset, statistics, ...resolved },
    async (coordinator, ring) => {
      await loadParameters(coordinator, model);
      return draw(coordinator, ring, dataset.classes);
    },
  );
}
