/**
 * The training loop: batches from the ring, synchronized steps through the coordinator, a test and a
 * checkpoint at the end of each epoch. Called by the library's `train`; says what it does by events.
 *
 * Everything random is a function of the seed and the position, so a run that goes on from a
 * checkpoint takes the same steps as one that was never interrupted.
 */
import { existsSync } from 'node:fs';
import type { Precision } from '../backend/numerics.js';
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch, undecodableWarning } from '../data/batches.js';
import type { BatchRing } from '../data/batches.js';
import type { Dataset } from '../data/dataset.js';
import type { Crops } from '../data/views.js';
import { UserError, messageOf } from '../errors.js';
import { NotFiniteError } from '../parallel/coordinator.js';
import type { Coordinator, StepResult } from '../parallel/coordinator.js';
import { WorkerFailure } from '../parallel/worker_failure.js';
import { tensorsIn } from '../runs/tensors.js';
import { latestCheckpoint, saveCheckpoint, withTestResult } from '../runs/checkpoint.js';
import type { TrainerState } from '../runs/checkpoint.js';
import { evaluate } from './evaluation.js';
import type { TestResult } from '../runs/summary.js';
import type { RunEvents } from '../runs/events.js';
import { appendMetrics, readMetrics } from '../runs/metrics.js';
import { writeLastTest, writeSummary } from '../runs/summary.js';
import type { MetricsEvent, SkipEvent } from '../runs/metrics.js';
import type { RunFolder } from '../runs/layout.js';
import type { Summary } from '../runs/summary.js';
import { afterTest, learningRateAt, multiplierAt } from './schedule.js';
import { trainEventOf } from './train_event.js';

export interface TrainingSession {
  configuration: Configuration;
  dataset: Dataset;
  coordinator: Coordinator;
  ring: BatchRing;
  run: RunFolder;
  /** Where to begin: `initialState`, or a checkpoint's. */
  state: TrainerState;
  precision: Precision;
  /** What a resumed run's configuration has otherwise than before. */
  changes: string[];
  warnings: string[];
  /** Steps between checkpoints inside an epoch; null: only at each epoch's end. */
  checkpointEvery: number | null;
  /** Tests only the first so many images. */
  testLimit: number | undefined;
  /** How many batches of the run may be left out because something was not finite. */
  skipNonfinite: number;
  /** How often the workers were started again before. */
  restarts: number;
  /** Whether they will be where one fails: the run has then not ended. */
  mayRestart: boolean;
  /** Aborted: finish the step, save, stop. */
  stop: AbortSignal;
  events: RunEvents;
}

/**
 * Trains until the epochs or steps are done, or `stop` is aborted.
 *
 * Writes metrics, checkpoints and `summary.json`; a failure is recorded there too and thrown again. One
 * that a person can mend (a loss that is not finite, a damaged image) leaves a checkpoint of the last
 * step before it, and names the checkpoint that training can go on from.
 */
export async function train(session: TrainingSession): Promise<Summary> {
  const trainer = new Trainer(session);
  try {
    const status = await trainer.run();
    const summary = trainer.summarize(status);
    session.events.emit('end', summary);
    return summary;
  } catch (error) {
    const failure = await trainer.afterFailure(error);
    const summary = trainer.summarizeFailure(messageOf(failure));
    if (error instanceof WorkerFailure && session.mayRestart) throw error;
    if (summary !== null) session.events.emit('end', summary);
    throw failure;
  }
}

class Trainer {
  private state: TrainerState;
  private readonly batches: number;
  private readonly started = performance.now();
  private readonly firstStep: number;
  private lastTest: Summary['test'];
  private skipped: number;
  /** Whether the latest checkpoint is of the current state. */
  private saved: boolean;
  private lastStepEnd = 0;
  /** `ring.waitedMs` at the last step's end. */
  private lastWaitedMs = 0;
  /** Of `ring.undecodable`, how many were warned of. */
  private warnedOf = 0;
  /** Spent on steps and waiting for data, not on tests and checkpoints. */
  private trainingMs = 0;
  /** In that time. */
  private trainedImages = 0;

  constructor(private readonly session: TrainingSession) {
    const { batch } = session.configuration.training;
    const trainingImages = session.dataset.train.count;
    this.state = { ...session.state, batch, trainingImages, precision: session.precision };
    this.firstStep = session.state.step;
    // A new run that ends before its first step can go on from its initial values.
    this.saved = this.firstStep > 0;
    const metrics = readMetrics(session.run);
    this.lastTest = lastTestOf(metrics);
    this.skipped = metrics.filter(({ event }) => event === 'skip').length;
    this.batches = batchesPerEpoch(trainingImages, batch);
  }

  /** Steps after which the run is complete. */
  private get lastStep(): number {
    const { state, configuration } = this.session;
    const { epochs, steps } = configuration.training;
    // Counted from where it begins: there the batches may have been others.
    const left = (epochs - state.epoch) * this.batches - state.batchInEpoch;
    return Math.min(state.step + left, steps ?? Infinity);
  }

  async run(): Promise<'completed' | 'interrupted'> {
    const { stop } = this.session;
    this.announce();
    // A checkpoint may be of a whole epoch whose test failed.
    await this.endEpoch();
    while (this.state.step < this.lastStep && !stop.aborted) {
      await this.epoch();
      await this.endEpoch();
    }
    const isTrained = this.state.step >= this.lastStep;
    // An end inside an epoch, by `steps`, is tested as well; a stop there only saves.
    if (isTrained && this.state.testTop1 === null) await this.test();
    if (!this.saved) await this.save();
    const isTested = this.state.testTop1 !== null;
    return isTrained && isTested && (await this.finalTest()) ? 'completed' : 'interrupted';
  }

  private announce(): void {
    const { configuration, changes, coordinator, run, events } = this.session;
    events.emit('start', {
      path: run.path,
      configuration,
      changes,
      step: this.firstStep,
      lastStep: this.lastStep,
      batchesPerEpoch: this.batches,
      parameterCount: coordinator.network.parameterCount,
      towers: coordinator.network.towers,
      placement: coordinator.placement,
      backend: coordinator.workers[0]!.backend,
    });
  }

  /** From the current position to the epoch's end, the last step or a stop. */
  private async epoch(): Promise<void> {
    const { configuration, coordinator, ring, stop, checkpointEvery } = this.session;
    const { epoch, batchInEpoch } = this.state;
    const { training } = configuration;
    const { momentum, weightDecay } = training;
    const learningRate = learningRateAt(training, epoch, this.state.plateau);
    const multipliers = Object.fromEntries(
      coordinator.network.parameters.map((parameter) => [
        parameter.name,
        multiplierAt(training, parameter, epoch, learningRate),
      ]),
    );
    const rule = { learningRate, multipliers, momentum, weightDecay };
    this.lastStepEnd = performance.now();
    this.lastWaitedMs = ring.waitedMs;

    for await (const batch of ring.train(epoch, batchInEpoch)) {
      const step = this.state.step + 1;
      const result = await this.unlessSkipped(coordinator.step(step, batch, rule));
      batch.release();
      this.saved = false;
      this.state = {
        ...this.state,
        step,
        batchInEpoch: this.state.batchInEpoch + 1,
        testTop1: null,
      };
      if (result instanceof NotFiniteError) this.recordSkip(result);
      else this.record(result, learningRate, batch.count);
      if (stop.aborted || step >= this.lastStep || this.state.batchInEpoch === this.batches) break;
      if (checkpointEvery !== null && step % checkpointEvery === 0) await this.save();
    }
  }

  /** The result, or why the step was not taken, if so many may be left out. */
  private async unlessSkipped(step: Promise<StepResult>): Promise<StepResult | NotFiniteError> {
    try {
      return await step;
    } catch (error) {
      if (!(error instanceof NotFiniteError) || this.skipped >= this.session.skipNonfinite) {
        throw error;
      }
      return error;
    }
  }

  private recordSkip({ message, rank, layer }: NotFiniteError): void {
    const { run, events, ring, skipNonfinite } = this.session;
    this.skipped++;
    const { step, epoch } = this.state;
    const event: SkipEvent = { event: 'skip', step, epoch: epoch + 1, rank, layer };
    appendMetrics(run, event);
    events.emit(
      'warning',
      `${message}; this batch is left out, ${this.skipped} of at most ${skipNonfinite}`,
    );
    this.lastStepEnd = performance.now();
    this.lastWaitedMs = ring.waitedMs;
  }

  /** Tests and saves where the epoch's last batch is done; the test of one that is stopped is made on resuming. */
  private async endEpoch(): Promise<void> {
    if (this.state.batchInEpoch < this.batches) return;
    const top1 = await this.test();
    if (top1 === null) return;
    const plateau = afterTest(this.session.configuration.training, this.state.plateau, top1);
    this.state = { ...this.state, plateau, epoch: this.state.epoch + 1, batchInEpoch: 0 };
    await this.save();
  }

  private record(result: StepResult, learningRate: number, images: number): void {
    const { run, configuration, events, ring } = this.session;
    const now = performance.now();
    const elapsedMs = now - this.lastStepEnd;
    this.trainingMs += elapsedMs;
    this.trainedImages += images;
    this.lastStepEnd = now;
    const dataWaitMs = ring.waitedMs - this.lastWaitedMs;
    this.lastWaitedMs = ring.waitedMs;
    const event = trainEventOf(result, {
      ...{ step: this.state.step, epoch: this.state.epoch + 1, learningRate },
      ...{ batch: configuration.training.batch, elapsedMs, dataWaitMs },
    });
    appendMetrics(run, event);
    this.warnOfUndecodable();
    events.emit('step', {
      ...event,
      batch: this.state.batchInEpoch,
      batches: this.batches,
      epochs: configuration.training.epochs,
      images,
      seconds: elapsedMs / 1000,
      stepsLeft: this.lastStep - this.state.step,
      timings: result.timings,
    });
  }

  /**
   * @returns null where the run is stopped before its end
   * @throws UserError where the loss is not finite; nothing is written then
   */
  private async testWith(crops: Crops): Promise<TestResult | null> {
    const { coordinator, ring, testLimit, run, events, configuration, dataset, stop } =
      this.session;
    if (stop.aborted) return null;
    const { classes } = dataset;
    const { dropout } = configuration.test;
    const afterBatch = (images: number, of: number) => {
      events.emit('testing', { images, of });
      stop.throwIfAborted();
    };
    const options = { classes, crops, dropout, limit: testLimit, afterBatch };
    let result: TestResult;
    try {
      result = await evaluate(coordinator, ring, options);
    } catch (error) {
      if (stop.aborted && error === stop.reason) return null;
      throw error;
    }
    this.warnOfUndecodable();
    const { loss, top1, top5 } = result;
    if (!Number.isFinite(loss)) {
      // The parameters are beyond use; going on from them would end here again.
      this.saved = true;
      throw new UserError(
        `the test after step ${this.state.step}: its loss is not finite: lower --lr, and check the data`,
      );
    }
    this.lastTest = { loss, top1, top5 };
    writeLastTest(run, { step: this.state.step, ...result });
    return result;
  }

  /**
   * Where the configuration asks for more views of an image than the tests between epochs take.
   * @returns false where it was stopped, to be made when the run is resumed
   */
  private async finalTest(): Promise<boolean> {
    const { events, configuration } = this.session;
    const { crops } = configuration.test;
    if (crops === 1) return true;
    const result = await this.testWith(crops);
    if (result === null) return false;
    const { loss, top1, top5, images } = result;
    events.emit('finalTest', { step: this.state.step, crops, loss, top1, top5, images });
    return true;
  }

  /** @returns top-1 accuracy, a fraction; null where the run is stopped before its end */
  private async test(): Promise<number | null> {
    const { run, events } = this.session;
    const result = await this.testWith(1);
    if (result === null) return null;
    const { loss, top1, top5, images } = result;
    this.state = withTestResult(this.state, top1);
    this.saved = false;
    const epoch = this.state.epoch + 1;
    const event = { event: 'test', step: this.state.step, epoch, loss, top1, top5 } as const;
    appendMetrics(run, event);
    events.emit('test', { ...event, images });
    return top1;
  }

  private warnOfUndecodable(): void {
    const { ring, events } = this.session;
    const news = ring.undecodable.slice(this.warnedOf);
    news.forEach((image) => events.emit('warning', undecodableWarning(image)));
    this.warnedOf = ring.undecodable.length;
  }

  private async save(): Promise<void> {
    const { coordinator, run, events } = this.session;
    const { parameters, velocities } = await coordinator.store();
    const { network } = coordinator;
    const model = tensorsIn(network, parameters);
    const optimizer = tensorsIn(network, velocities);
    const path = saveCheckpoint(run, { state: this.state, model, optimizer });
    this.saved = true;
    const { step, epoch } = this.state;
    events.emit('checkpoint', { path, step, epoch, parameters: model, velocities: optimizer });
    // The time of saving and testing is not the next step's.
    this.lastStepEnd = performance.now();
  }

  /**
   * Saves the last step, unless its parameters are lost with a worker: they change on all ranks or on none.
   *
   * @returns the failure as it is to be reported: of one that a person can mend, with where to go on from
   */
  async afterFailure(error: unknown): Promise<unknown> {
    if (!(error instanceof UserError)) return error;
    if (!this.saved) {
      try {
        await this.save();
      } catch {
        // The first failure is the one to report; this one may well be the same, such as a full disk.
      }
    }
    const message = `${messageOf(error)}; ${this.remedy()}`;
    return error instanceof WorkerFailure
      ? new WorkerFailure(message, error.defect, { cause: error })
      : new UserError(message, { cause: error });
  }

  private remedy(): string {
    const { run } = this.session;
    if (!existsSync(run.path)) return `the run folder ${run.path} is gone: start anew`;
    const checkpoint = latestCheckpoint(run);
    return checkpoint === undefined
      ? `${run.path} has no checkpoint yet: start anew`
      : `the last checkpoint is ${checkpoint}: go on with --resume ${run.path}`;
  }

  /** Where even that cannot be written, the failure itself is still what is reported. */
  summarizeFailure(error: string): Summary | null {
    try {
      return this.summarize('failed', error);
    } catch (second) {
      if (!(second instanceof UserError)) throw second;
      return null;
    }
  }

  summarize(status: Summary['status'], error?: string): Summary {
    const { coordinator, run, warnings, ring } = this.session;
    const wallSeconds = (performance.now() - this.started) / 1000;
    const summary: Summary = {
      status,
      ...(error === undefined ? {} : { error }),
      epochs: this.state.epoch,
      steps: this.state.step,
      skipped: this.skipped,
      restarts: this.session.restarts,
      wallSeconds,
      imagesPerSecond: this.trainedImages === 0 ? 0 : (this.trainedImages / this.trainingMs) * 1000,
      parameters: coordinator.network.parameterCount,
      test: this.lastTest,
      placement: coordinator.placement.flatMap(({ ranks, device, requested }) =>
        ranks.map((rank) => ({ rank, device, requested })),
      ),
      backend: coordinator.workers[0]!.backend,
      warnings,
      undecodable: ring.undecodable.map(({ file }) => file),
    };
    writeSummary(run, summary);
    return summary;
  }
}

/** Of the part of a resumed run that is already there. */
function lastTestOf(metrics: MetricsEvent[]): Summary['test'] {
  const last = metrics.findLast((event) => event.event === 'test');
  if (last === undefined) return null;
  const { loss, top1, top5 } = last;
  return { loss, top1, top5 };
}
