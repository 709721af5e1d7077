/** Tests checkpoints of runs, each alone and their average: `evaluate` of the package. */
import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '../configuration.js';
import { contentsOf } from '../data/contents.js';
import { undecodableWarning } from '../data/undecodable.js';
import { openDataset } from '../data/dataset.js';
import type { Dataset } from '../data/examples.js';
import { nameOfExample } from '../data/examples.js';
import { sampled } from '../data/part.js';
import { type Crops, refuseImpossibleCrops } from '../data/views.js';
import { writeDurably } from '../durable_file.js';
import { UserError } from '../errors.js';
import { probabilitiesCsv } from '../report/probabilities_csv.js';
import type { ImageProbabilities } from '../report/probabilities_csv.js';
import { loadParameters } from '../runs/tensors.js';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice, StoredCheckpoint } from '../runs/checkpoint_reader.js';
import { Scores, runTest } from '../training/evaluation.js';
import type { TestedImage } from '../training/evaluation.js';
import { RunAverage } from '../training/run_average.js';
import type { TestResult } from '../runs/summary.js';
import type { RunEvents } from '../runs/events.js';
import { openRunFolder } from '../runs/layout.js';
import { runPathsAt } from '../runs/seed_folder.js';
import { statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import { resolveDevices } from './devices.js';
import type { Devices } from './devices.js';
import { refuseOutputFile } from './output_file.js';
import { dataWarnings, runClasses, withClassesOf } from './preparation.js';
import { configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

export interface EvaluateOptions extends Pick<Recipe, 'data' | 'split' | 'batch'>, Devices {
  /** Which checkpoint to test (default: the latest). */
  checkpoint?: CheckpointChoice | undefined;
  /** Crops per image, whose probabilities are averaged (default: as in the run's last test). */
  crops?: Crops | undefined;
  /** Keep dropout active, as the reference PyTorch code did (default: as in the run's tests). */
  dropout?: boolean | undefined;
  /** Test a sample of this many images, drawn from the (first) run's seed (default: all). */
  testLimit?: number | undefined;
  /** CSV file for every image's probabilities, averaged over crops and runs; replaced if it exists. */
  out?: string | undefined;
  /** Emits `warning` and `testing`, whose counts are those of all runs together. */
  events?: RunEvents | undefined;
  /** File of lines `NAME IN THE DATA, NAME IN THE RUN`, if the data calls its classes otherwise than the run. */
  classes?: string | undefined;
  /** If aborted, the function finishes the current batch and throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** One of the runs that were tested. */
export interface EvaluatedRun extends Pick<TestResult, 'loss' | 'top1' | 'top5'> {
  path: string;
}

/** The test of a run, or of the average of several: the mean of the probabilities that each gives to an image. */
export interface Evaluation extends TestResult {
  /** Each run alone, in the order in which they were given. */
  runs: EvaluatedRun[];
}

/** A run whose checkpoint is there, and how it is tested. */
interface TestableRun {
  path: string;
  checkpoint: StoredCheckpoint;
  configuration: Configuration;
  crops: Crops;
  dropout: boolean;
}

/** The test of one run. */
interface TestedRun {
  path: string;
  dataset: Dataset;
  result: TestResult;
  images: TestedImage[];
  /** Of each image, its number in the test set. */
  numbers: number[];
}

/** What the others are compared with. */
type FirstRun = Omit<TestedRun, 'images'>;

/** The place of a run among those that are tested. */
interface Turn {
  /** The first run's, for all: the sample and the masks of dropout depend on it. */
  seed: number;
  /** undefined for the first run itself. */
  first: FirstRun | undefined;
  /** Runs tested before, and all. */
  done: number;
  of: number;
}

/**
 * Tests one run, or several and their average. They may have other networks, preprocessing and placements, but must
 * have the same classes and test images.
 *
 * @param runs run folder, or several; a folder of `trainSeeds` stands for its runs
 * @throws UserError if one is no run folder or has no such checkpoint, or if they have other classes, test images or
 *   crops; `out` is not written then
 */
export async function evaluate(
  runs: string | readonly string[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { out } = options;
  const paths = [runs].flat().flatMap((path) => runPathsAt(path));
  const testable = paths.map((path) => testableRun(path, options));
  if (testable.length === 0) throw new UserError('evaluate needs a run folder');
  refuseDifferentCrops(testable);
  if (out !== undefined) refuseOutputFile('--out', out, 'probabilities.csv');
  const average = new RunAverage();
  const { seed } = testable[0]!.configuration.training;
  const evaluated: EvaluatedRun[] = [];
  let first: FirstRun | undefined;
  for (const run of testable) {
    const turn = { seed, first, done: evaluated.length, of: testable.length };
    const { images, ...tested } = await testRun(run, options, turn);
    first ??= tested;
    if (!isDeepStrictEqual(tested.numbers, first.numbers)) {
      throw new UserError(
        `other test images of ${run.path} could be decoded than before: leave the data as it is while it is tested`,
      );
    }
    average.add(images);
    const { loss, top1, top5 } = tested.result;
    evaluated.push({ path: run.path, loss, top1, top5 });
  }
  const { dataset, numbers, result } = first!;
  const { classes } = dataset;
  if (out !== undefined) {
    writeDurably(out, probabilitiesCsv(classes, named(average, numbers, dataset)));
  }
  const scores = new Scores(classes, result.crops);
  for (const image of average.images()) scores.score(image);
  return { ...scores.result(), runs: evaluated };
}

/** @param numbers of the images in the test set */
function* named(
  average: RunAverage,
  numbers: readonly number[],
  { test }: Dataset,
): Generator<ImageProbabilities, void, void> {
  let at = 0;
  for (const image of average.images()) {
    const number = numbers[at++]!;
    yield { ...image, number, name: nameOfExample(test, number) };
  }
}

function testableRun(path: string, options: EvaluateOptions): TestableRun {
  const { data, split, batch } = options;
  const folder = openRunFolder(path);
  const checkpoint = chooseCheckpoint(folder, options.checkpoint);
  const configuration = configurationOf({ data, split, batch, config: folder.configurationFile });
  const { crops = configuration.test.crops, dropout = configuration.test.dropout } = options;
  refuseImpossibleCrops(crops, configuration.data.view);
  return { path, checkpoint, configuration, crops, dropout };
}

function refuseDifferentCrops([first, ...others]: readonly TestableRun[]): void {
  const other = others.find(({ crops }) => crops !== first!.crops);
  if (other === undefined) return;
  throw new UserError(
    `${other.path} is tested with ${other.crops} crops per image and ${first!.path} with ${first!.crops}: give --crops`,
  );
}

async function testRun(
  run: TestableRun,
  options: EvaluateOptions,
  { seed, first, done, of }: Turn,
): Promise<TestedRun> {
  const { path, checkpoint, crops, dropout } = run;
  const { testLimit, events, signal } = options;
  const { training, towers, data } = run.configuration;
  const resolved = await resolveDevices(options, towers, towers);
  const classesOfRun = runClasses(checkpoint.state.classes, options.classes);
  const dataset = await openDataset(data, signal, classesOfRun);
  const asked = { ...run.configuration, training: { ...training, seed } };
  const configuration = withClassesOf(asked, dataset);
  if (first !== undefined) refuseOtherImages(first, path, dataset);
  const warnings = [...resolved.warnings, ...dataWarnings(dataset, resolved)];
  warnings.forEach((warning) => events?.emit('warning', warning));
  const statistics = await statisticsFor(configuration, dataset, path, events, signal);
  const session = { configuration, dataset, statistics, signal, ...resolved };
  const images: TestedImage[] = [];
  return withTowers(session, async (coordinator, ring) => {
    await loadParameters(coordinator, checkpoint.files.model);
    const { classes } = dataset;
    const result = await runTest(coordinator, ring, {
      classes,
      crops,
      dropout,
      limit: testLimit,
      patience: signal,
      onImage: (image) => images.push(image),
      goesOn: (tested, count) => {
        events?.emit('testing', { images: done * count + tested, of: of * count });
        signal?.throwIfAborted();
        return true;
      },
    });
    ring.undecodable.forEach((image) => events?.emit('warning', undecodableWarning(image)));
    const leftOut = new Set(ring.undecodable.map(({ index }) => index));
    const sample = sampled(dataset.test.count, testLimit ?? Infinity, seed);
    const numbers = Array.from(sample).filter((number) => !leftOut.has(number));
    return { path, dataset, result: result!, images, numbers };
  });
}

/** @param first the run that was tested first */
function refuseOtherImages(first: FirstRun, path: string, dataset: Dataset): void {
  if (!isDeepStrictEqual(dataset.classes, first.dataset.classes)) {
    throw new UserError(`${path} has other classes than ${first.path}: test it alone`);
  }
  const contents = [dataset, first.dataset].map(({ classes, test }) =>
    contentsOf({ classes, test }),
  );
  if (contents[0] === contents[1]) return;
  throw new UserError(
    `${path} has other test images than ${first.path}: give --data DIR for all of them`,
  );
}
