/**
 * Resuming a run: what of its configuration may change, and where in the data its checkpoint stands.
 */
import { isDeepStrictEqual } from 'node:util';
import { imagesPerStep } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch } from '../data/batches.js';
import { type JpegDecoder, nvjpegVersion } from '../data/choose_jpeg_decoder.js';
import type { Dataset } from '../data/examples.js';
import { UserError } from '../errors.js';
import type { StoredCheckpoint } from '../runs/checkpoint_reader.js';
import type { RunFolder } from '../runs/layout.js';
import { INITIAL_PROGRESS } from '../runs/progress.js';
import type { Progress } from '../runs/progress.js';
import type { ResumePoint, RunVerbs } from '../runs/run.js';
import { readEnd } from '../runs/summary.js';
import type { Limits } from '../training/policy.js';
import type { ResolvedPlacement } from './devices.js';
import { phaseAt } from './phases.js';
import type { Phase } from './phases.js';
import { configurationOf } from './recipe.js';
import type { TrainOptions } from './train_options.js';

export interface ResumedRun {
  /** The run's own, with the options of this call over it. */
  configuration: Configuration;
  /** What those options changed, such as `training.batch: 64 → 128`. */
  changes: string[];
  point: ResumePoint;
}

/** Where a run starts or resumes. */
export interface Start {
  progress: Progress;
  /** The checkpoint that holds it; null for a new run. */
  point: StoredCheckpoint | null;
}

/** @throws UserError for an option that a run cannot resume with, and for a run without a checkpoint */
export function resume(run: RunVerbs, given: TrainOptions): ResumedRun {
  refuseFixedOptions(given);
  const { path, configurationFile: config } = run.folder;
  const point = run.load(given.checkpoint ?? 'latest');
  const own = configurationOf({ config });
  const configuration = configurationOf({ ...given, config });
  refuseAnotherCourse(own, configuration, path);
  return { configuration, changes: changesOf(own, configuration), point };
}

/** Refuses the options that a run keeps from its start. */
export function refuseFixedOptions(given: TrainOptions): void {
  for (const name of ['out', 'init', 'preset', 'config'] as const) {
    if (given[name] === undefined) continue;
    throw new UserError(`--${name} does not go with --resume: the run keeps its own`);
  }
}

/**
 * What differs from before: of the configuration, the precision of the arithmetic, and the decoder of JPEGs.
 *
 * @param decoder undefined for data without JPEGs
 */
export function changesOnResuming(
  { changes, point }: ResumedRun,
  { precision }: Pick<ResolvedPlacement, 'precision'>,
  decoder: JpegDecoder | undefined,
): string[] {
  const { precision: before, nvjpeg: decoderBefore } = point.state;
  const isOther = before !== null && before !== precision;
  const nvjpeg = nvjpegVersion(decoder);
  const named = (version: string | undefined) => (version ? `nvJPEG ${version}` : 'the CPU');
  return [
    ...changes,
    ...(isOther ? [`precision: ${before} → ${precision}`] : []),
    ...(decoderBefore === nvjpeg
      ? []
      : [
          `decoder of JPEGs: ${named(decoderBefore)} → ${named(nvjpeg)}, whose pixels differ slightly`,
        ]),
  ];
}

/** Refuses to change what the checkpoint's parameters and position depend on. */
function refuseAnotherCourse(own: Configuration, asked: Configuration, path: string): void {
  const parts: [string, (of: Configuration) => unknown][] = [
    ['network', (of) => of.network],
    ['towers', (of) => of.towers],
    ['training.seed', (of) => of.training.seed],
  ];
  for (const [name, partOf] of parts) {
    if (isDeepStrictEqual(partOf(own), partOf(asked))) continue;
    throw new UserError(
      `${name} cannot change in the run ${path}: leave that option out, or start a new run`,
    );
  }
}

type Fields = Record<string, unknown>;

/** `section.field: before → after` for each field of the configuration's sections that changed. */
function changesOf(own: Configuration, asked: Configuration): string[] {
  return (['data', 'training', 'test'] as const).flatMap((section) => {
    const before = own[section] as object as Fields;
    const after = asked[section] as object as Fields;
    return [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .filter((field) => !isDeepStrictEqual(before[field], after[field]))
      .map((field) => `${section}.${field}: ${shown(before[field])} → ${shown(after[field])}`);
  });
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'none';
}

/**
 * The checkpoint's position in an epoch of the configured batches. If they have another size than before, it
 * is the last border between them that is not past the old position, so a few images may come twice.
 *
 * @param point null for a new run
 * @param phases of the run, with the data that is there now
 * @throws UserError if the checkpoint is of other data
 */
export function startOf(
  point: StoredCheckpoint | null,
  { training, data }: Configuration,
  phases: readonly Phase[],
): Start {
  if (point === null) return { progress: INITIAL_PROGRESS, point };
  const batch = imagesPerStep(training);
  const { progress, batch: before, trainingImages: imagesBefore } = point.state;
  const phase = phaseAt(phases, progress.epoch);
  const trainingImages = phase.dataset.train.count;
  // With the validation images folded back in there are more; the epoch goes on with as many of its batches done.
  const mayFold = data.validation === 0 || phase !== phases[0];
  const isFolded = mayFold && imagesBefore !== null && imagesBefore < trainingImages;
  if (imagesBefore !== null && imagesBefore !== trainingImages && !isFolded) {
    throw new UserError(
      `the checkpoint is of a data set with ${imagesBefore} training images, this one has ${trainingImages}: give the --data it was trained on`,
    );
  }
  if (before === batch && !isFolded) return { progress, point };
  const batches = batchesPerEpoch(trainingImages, batch);
  const isWhole = progress.batch === batchesPerEpoch(imagesBefore ?? trainingImages, before);
  // The last batch of an epoch that is not over must be left, as only it is followed by the epoch's test.
  const done = Math.min(batches - 1, Math.floor((progress.batch * before) / batch));
  return { progress: { ...progress, batch: isWhole ? batches : done }, point };
}

/** Nothing is left to do. */
export class RunIsComplete extends UserError {}

/** @throws RunIsComplete */
export function refuseCompleted(
  run: RunFolder,
  { step, epoch, lastTest }: Progress,
  { training: { epochs, steps }, test }: Configuration,
): void {
  // The last test may have been interrupted or failed, or one of more crops not been asked for until now.
  const { summary, lastTest: last } = readEnd(run);
  const isTested = lastTest?.step === step && last?.step === step && last.crops === test.crops;
  // A kill may have come between the last checkpoint and the end.
  const hasEnded = summary?.status === 'completed';
  if (!isTested || !hasEnded || !(epoch >= epochs || (steps !== null && step >= steps))) return;
  throw new RunIsComplete(
    `the run is complete: ${epoch} of ${epochs} epochs and ${step} of ${steps ?? step} steps; give more ${epoch >= epochs ? '--epochs' : '--steps'} to continue`,
  );
}

/** The bounds of the phase in which a run goes on from `progress`. */
export function limitsOf(
  { step, epoch, batch }: Progress,
  { training, test }: Configuration,
  phases: readonly Phase[],
  { skipNonfinite = 0, checkpointEvery = Infinity }: TrainOptions,
): Limits {
  const steps = training.steps ?? Infinity;
  const { dataset, epochs, testsEpochs } = phaseAt(phases, epoch);
  const batchesOf = ({ train }: Dataset) => batchesPerEpoch(train.count, imagesPerStep(training));
  const batches = batchesOf(dataset);
  // Counted from here, because the batches before may have had another size.
  const last = step + (epochs - epoch) * batches - batch;
  const later = phases.filter((phase) => phase.epochs > epochs);
  const stepsAfter = later.map(
    (phase, index) =>
      (phase.epochs - (later[index - 1]?.epochs ?? epochs)) * batchesOf(phase.dataset),
  );
  const endsRun = epochs === training.epochs || steps <= last;
  return {
    lastStep: Math.min(last, steps),
    runEnd: Math.min(
      stepsAfter.reduce((sum, count) => sum + count, last),
      steps,
    ),
    batches,
    skips: skipNonfinite,
    checkpointEvery,
    testsEpochs,
    testEvery: testsEpochs ? (test.every ?? Infinity) : Infinity,
    finalCrops: endsRun ? test.crops : 1,
  };
}

/** Whether a phase that ended at `progress` is followed by another. */
export function isFollowed({ step, epoch }: Progress, { training }: Configuration): boolean {
  return epoch < training.epochs && step < (training.steps ?? Infinity);
}
