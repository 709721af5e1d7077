/**
 * A run's log for TensorBoard, `runs/NAME/tensorboard/`, written from the run's events.
 * `tensorboard --logdir runs` shows it.
 *
 * - Each step gives scalars: loss, accuracy, learning rate, speed, and where the step's time went.
 * - Each test gives its loss and accuracies.
 * - Each checkpoint gives histograms of every parameter of every rank: of its weights, of their last updates
 *   and of the norm of each kernel's update over the kernel's own. It also gives the first layer's kernels, as
 *   one image per rank. This takes the main thread a second for AlexNet's 61 million parameters.
 *
 * A resumed run writes a new file, which tells readers to drop what earlier files have beyond its start.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { outputsOfRank } from '../model/shares.js';
import { EventFile } from '../report/event_file.js';
import { histogramOf, updateRatios } from '../report/histogram.js';
import type { Histogram } from '../report/histogram.js';
import { kernelGrid } from '../report/kernel_grid.js';
import { pngOf } from '../report/markup.js';
import type { CheckpointSaved, RunEvents, RunStart, StepDone, TestDone } from './events.js';
import { firstKernelsIn } from './first_kernels.js';

export class TensorboardLog {
  private file: EventFile | undefined;
  private run: RunStart | undefined;
  /** Resolved when the images so far are encoded, in other threads, and written. */
  private images: Promise<void> = Promise.resolve();
  private failure: unknown;

  constructor(private readonly events: RunEvents) {
    events.on('start', this.start);
    events.on('step', this.step);
    events.on('test', this.test);
    events.on('checkpoint', this.checkpoint);
  }

  /** Stops listening and writes what is under way. @throws UserError if that fails */
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
    // If the workers were restarted from step 0, the points of the first start must be dropped too.
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
      ...(step.gpuBytes !== undefined && { 'memory/gpu_bytes': step.gpuBytes }),
      ...(step.communicationMs !== undefined && {
        'time/communication_ms': step.communicationMs,
        'time/exposed_ms': step.exposedMs!,
      }),
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

/** Histograms by tag. Each rank's share of a parameter is a contiguous range of its canonical values. */
function histogramsOf(
  { parameters, velocities }: CheckpointSaved,
  towers: number,
): Map<string, Histogram> {
  const histograms = new Map<string, Histogram>();
  for (const [name, { shape, data }] of parameters) {
    for (let rank = 0; rank < towers; rank++) {
      const { first, count } = outputsOfRank(shape[0]!, rank, towers);
      const perOutput = data.length / shape[0]!;
      const [start, end] = [first * perOutput, (first + count) * perOutput];
      const weights = data.subarray(start, end);
      const updates = velocities.get(name)!.data.subarray(start, end);
      const ratios = updateRatios(updates, weights, count);
      const tag = `${name}/rank_${rank}`;
      histograms.set(`weights/${tag}`, histogramOf(weights));
      histograms.set(`updates/${tag}`, histogramOf(updates));
      if (ratios.length > 0) histograms.set(`update_ratio/${tag}`, histogramOf(ratios));
    }
  }
  return histograms;
}
