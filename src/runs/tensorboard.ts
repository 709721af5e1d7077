/**
 * A run's log for TensorBoard, in `runs/NAME/tensorboard/`: `tensorboard --logdir runs` shows it. Opened by
 * the library's `train`; written from the run's events.
 *
 * - At each step, scalars: loss, accuracy, learning rate, speed, and where the step's time went.
 * - At each test, its loss and accuracies.
 * - At each checkpoint, histograms of every parameter of every rank: its weights, their last updates and, for
 *   each kernel, the length of its update over its own; and the first layer's kernels as an image a rank.
 *   The towers wait meanwhile, as for the checkpoint itself: a second for AlexNet's 61 million parameters.
 *
 * A run that goes on writes a new file, which tells readers to drop what earlier ones have beyond its start.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EventFile } from '../report/event_file.js';
import { histogramOf, updateRatios } from '../report/histogram.js';
import type { Histogram } from '../report/histogram.js';
import { kernelGrid } from '../report/kernels.js';
import { pngOf } from '../report/markup.js';
import type { CheckpointSaved, RunEvents, RunStart, StepDone, TestDone } from './events.js';
import { firstKernelsIn } from './first_kernels.js';

export class TensorboardLog {
  private file: EventFile | undefined;
  private run: RunStart | undefined;
  /** Images are encoded in other threads. */
  private images: Promise<void> = Promise.resolve();
  private failure: unknown;

  constructor(private readonly events: RunEvents) {
    events.on('start', this.start);
    events.on('step', this.step);
    events.on('test', this.test);
    events.on('checkpoint', this.checkpoint);
  }

  /** Stops listening and writes what is under way. @throws UserError where that fails */
  async close(): Promise<void> {
    this.events.off('start', this.start);
    this.events.off('step', this.step);
    this.events.off('test', this.test);
    this.events.off('checkpoint', this.checkpoint);
    await this.images;
    this.file?.close();
    if (this.failure !== undefined) throw this.failure as Error;
  }

  private readonly start = (start: RunStart): void => {
    this.run = start;
    const folder = join(start.path, 'tensorboard');
    // Where the workers were started again from step 0, the points of the first time are in the way too.
    this.file = EventFile.create(folder, existsSync(folder) ? start.step + 1 : undefined);
  };

  private readonly step = (step: StepDone): void => {
    this.file!.scalars(step.step, {
      'train/loss': step.loss,
      'train/accuracy': step.accuracy,
      'train/learning_rate': step.learningRate,
      'train/epoch': step.epoch,
      'speed/images_per_second': step.imagesPerSecond,
      'time/step_ms': step.stepMs,
      'time/forward_ms': step.forwardMs,
      'time/backward_ms': step.backwardMs,
      'time/exchange_copy_ms': step.exchangeMs - step.exchangeWaitMs,
      'time/exchange_wait_ms': step.exchangeWaitMs,
      'time/update_ms': step.updateMs,
      'time/data_wait_ms': step.dataWaitMs,
    });
  };

  private readonly test = ({ step, loss, top1, top5 }: TestDone): void => {
    this.file!.scalars(step, { 'test/loss': loss, 'test/top1': top1, 'test/top5': top5 });
  };

  private readonly checkpoint = (saved: CheckpointSaved): void => {
    const { towers, configuration } = this.run!;
    this.file!.histograms(saved.step, histogramsOf(saved, towers));
    const kernels = firstKernelsIn(configuration, saved.parameters);
    if (kernels === null) return;
    for (let rank = 0; rank < towers; rank++) {
      const picture = kernelGrid(kernels.weights, towers, rank);
      const tag = `kernels/${kernels.layer}/rank_${rank}`;
      this.images = Promise.all([pngOf(picture), this.images])
        .then(([png]) => this.file!.image(saved.step, tag, { ...picture, png }))
        .catch((error: unknown) => {
          this.failure ??= error;
        });
    }
  };
}

/** By tag: what each rank holds of each parameter is a run of its canonical values. */
function histogramsOf(
  { parameters, velocities }: CheckpointSaved,
  towers: number,
): Map<string, Histogram> {
  const histograms = new Map<string, Histogram>();
  for (const [name, { shape, data }] of parameters) {
    const length = data.length / towers;
    for (let rank = 0; rank < towers; rank++) {
      const weights = data.subarray(rank * length, (rank + 1) * length);
      const updates = velocities.get(name)!.data.subarray(rank * length, (rank + 1) * length);
      const ratios = updateRatios(updates, weights, shape[0]! / towers);
      const tag = `${name}/rank_${rank}`;
      histograms.set(`weights/${tag}`, histogramOf(weights));
      histograms.set(`updates/${tag}`, histogramOf(updates));
      if (ratios.length > 0) histograms.set(`update_ratio/${tag}`, histogramOf(ratios));
    }
  }
  return histograms;
}
