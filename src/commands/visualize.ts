/**
 *     twotower visualize runs/demo
 *     twotower visualize runs/cifar10-quick --neighbours --out neighbours.png
 */
import { join } from 'node:path';
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import type { Configuration } from '../configuration.js';
import type { BatchRing } from '../data/batches.js';
import { openDataset } from '../data/dataset.js';
import { writeDurably } from '../durable_file.js';
import type { Coordinator } from '../parallel/coordinator.js';
import { resolveDevices } from '../library/devices.js';
import { drawNeighbours, drawPredictions } from '../report/image_figures.js';
import { drawKernels } from '../report/kernels.js';
import { note, print } from '../report/printing.js';
import { formatCount } from '../report/text.js';
import { loadParameters } from '../training/canonical.js';
import { checkpointFiles, requireCheckpoint } from '../training/checkpoint.js';
import { firstKernels } from '../training/first_kernels.js';
import { inspectImages, nearestImages } from '../training/inspection.js';
import { openRunFolder } from '../training/run_folder.js';
import { withTowers } from '../training/session.js';
import { configurationFrom, configurationOptions, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { devicesFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

/** Columns of Figure 4, right, after the test image. */
const NEIGHBOURS = 6;

const options = {
  predictions: {
    type: 'boolean',
    conflicts: 'neighbours',
    describe: 'Instead of kernels: test images with their five most probable classes',
  },
  neighbours: {
    type: 'boolean',
    describe: 'Instead of kernels: test images with the training images nearest to them',
  },
  out: { requiresArg: true, describe: 'PNG file; without it RUN/kernels.png and so on' },
  images: { requiresArg: true, describe: 'Test images; without it 8 predictions, 5 neighbours' },
  search: {
    requiresArg: true,
    default: '5000',
    describe: 'Training images that --neighbours searches',
  },
  data: configurationOptions.data,
  ...placementOptions,
} as const;

interface VisualizeArguments extends Pick<ConfigurationArguments, 'data'>, PlacementArguments {
  run: string;
  predictions?: boolean | undefined;
  neighbours?: boolean | undefined;
  out?: string | undefined;
  images?: string | undefined;
  search?: string | undefined;
}

export const command: CommandModule<object, VisualizeArguments> = {
  command: 'visualize <run>',
  describe: "Draw a run's first kernels, its predictions or nearest images as a PNG",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .options(options)
      .example('$0 visualize runs/demo', "The first layer's kernels, tower by tower")
      .example('$0 visualize runs/demo --neighbours', 'Nearest training images') as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<VisualizeArguments>): Promise<void> {
  const figure = given.predictions ? 'predictions' : given.neighbours ? 'neighbours' : 'kernels';
  const images = wholeNumber('images', given.images, 1) ?? (figure === 'predictions' ? 8 : 5);
  const search = wholeNumber('search', given.search, 1)!;
  const folder = openRunFolder(given.run);
  const { model } = checkpointFiles(requireCheckpoint(folder));
  const configuration = configurationFrom({ data: given.data, config: folder.configurationFile });
  const out = given.out ?? join(given.run, `${figure}.png`);
  if (figure === 'kernels') {
    const { layer, weights } = firstKernels(configuration, model);
    writeDurably(out, [await drawKernels(layer, weights, configuration.towers)]);
  } else {
    const picture = await drawImages(given, configuration, model, async (towers, ring, classes) =>
      figure === 'predictions'
        ? drawPredictions(await inspectImages(towers, ring.sample('test'), images), classes)
        : neighbours(towers, ring, classes, images, search),
    );
    writeDurably(out, [picture]);
  }
  print(out);
}

async function neighbours(
  towers: Coordinator,
  ring: BatchRing,
  classes: string[],
  images: number,
  search: number,
): Promise<Uint8Array> {
  const queries = await inspectImages(towers, ring.sample('test'), images);
  const training = ring.sample('train');
  const { rows, searched } = await nearestImages(towers, training, queries, search, NEIGHBOURS);
  const caption = `Nearest of ${formatCount(searched)} training images, by the last hidden layer`;
  return drawNeighbours(rows, classes, caption);
}

/** Opens the run's network on this machine, and its data set. */
async function drawImages(
  given: VisualizeArguments,
  configuration: Configuration,
  model: string,
  draw: (towers: Coordinator, ring: BatchRing, classes: string[]) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { towers } = configuration;
  const resolved = await resolveDevices(devicesFrom(given), towers, towers);
  resolved.warnings.forEach((warning) => note(`warning: ${warning}`));
  const dataset = await openDataset(configuration.data);
  return withTowers({ configuration, dataset, ...resolved }, async (coordinator, ring) => {
    await loadParameters(coordinator, model);
    return draw(coordinator, ring, dataset.classes);
  });
}
