/** A run's figures: `visualize` of the package, and all that the command of that name does. */
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
import { checkpointFiles, requireCheckpoint } from '../runs/checkpoint.js';
import type { RunEvents } from '../runs/events.js';
import { firstKernels } from '../runs/first_kernels.js';
import { inspectImages, nearestImages } from '../training/inspection.js';
import { openRunFolder } from '../runs/layout.js';
import { statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import { resolveDevices } from './devices.js';
import type { Devices } from './devices.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/** Columns of Figure 4, right, after the test image. */
const NEIGHBOURS = 6;

/** Which picture `visualize` draws, and of how much. */
export interface VisualizeOptions extends Pick<Recipe, 'data'>, Devices {
  /** The paper's Figure 3, or the left or right half of its Figure 4; `kernels` unless given. */
  figure?: 'kernels' | 'predictions' | 'neighbours' | undefined;
  /** Test images; without it 8 predictions or 5 neighbours. */
  images?: number | undefined;
  /** Training images among which the nearest are sought; 5000 unless given. */
  search?: number | undefined;
  /** PNG file; without it `kernels.png`, `predictions.png` or `neighbours.png` in the run folder. */
  out?: string | undefined;
  /** Hears `warning` and, of a search, `progress`. */
  events?: RunEvents | undefined;
}

/**
 * Draws a figure of the run's latest checkpoint.
 *
 * @param path run folder
 * @returns the path of the PNG file
 * @throws UserError where it is no run, has no checkpoint, or its data are not there
 */
export async function visualize(path: string, options: VisualizeOptions = {}): Promise<string> {
  const { figure = 'kernels', search = 5000, data } = options;
  const images = options.images ?? (figure === 'predictions' ? 8 : 5);
  const folder = openRunFolder(path);
  const { model } = checkpointFiles(requireCheckpoint(folder));
  const configuration = configurationOf({ data, config: folder.configurationFile });
  const out = options.out ?? join(path, `${figure}.png`);
  if (figure === 'kernels') {
    const { layer, weights } = firstKernels(configuration, model);
    writeDurably(out, [await drawKernels(layer, weights, configuration.towers)]);
  } else {
    const picture = await drawImages(
      path,
      options,
      configuration,
      model,
      async (towers, ring, classes) =>
        figure === 'predictions'
          ? drawPredictions(await inspectImages(towers, ring.sample('test'), images), classes)
          : neighbours(towers, ring, classes, images, search, options.events),
    );
    writeDurably(out, [picture]);
  }
  return out;
}

async function neighbours(
  towers: Coordinator,
  ring: BatchRing,
  classes: string[],
  images: number,
  search: number,
  events: RunEvents | undefined,
): Promise<Uint8Array> {
  const queries = await inspectImages(towers, ring.sample('test'), images);
  const training = ring.sample('train');
  const onBatch = (done: number): void => {
    events?.emit('progress', { doing: 'searching', unit: 'images', done, of: search });
  };
  const { rows, searched } = await nearestImages(
    towers,
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
  configuration: Configuration,
  model: string,
  draw: (towers: Coordinator, ring: BatchRing, classes: string[]) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { towers } = configuration;
  const resolved = await resolveDevices(given, towers, towers);
  resolved.warnings.forEach((warning) => given.events?.emit('warning', warning));
  const dataset = await openDataset(configuration.data);
  const statistics = await statisticsFor(configuration, dataset, path, given.events);
  return withTowers(
    { configuration, dataset, statistics, ...resolved },
    async (coordinator, ring) => {
      await loadParameters(coordinator, model);
      return draw(coordinator, ring, dataset.classes);
    },
  );
}
