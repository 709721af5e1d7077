/** The course of a run in a fixed amount of memory, however many steps it had. */
import { thinned } from './series.js';
import type { Measured } from './series.js';

/** A step's line of `metrics.jsonl`. */
export interface ReportedStep {
  event: 'train';
  step: number;
  epoch: number;
  loss: number;
  accuracy: number;
  learningRate: number;
  imagesPerSecond: number;
  stepMs: number;
  forwardMs: number;
  backwardMs: number;
  exchangeMs: number;
  exchangeWaitMs: number;
  updateMs: number;
  dataWaitMs: number;
  /** With several hosts: communication under way, and the part of it that was waited for. No curve has them. */
  communicationMs?: number;
  exposedMs?: number;
}

/** A test's line. */
export interface ReportedTest {
  event: 'test';
  step: number;
  epoch: number;
  loss: number;
  top1: number;
  top5: number;
}

/** Points of a curve: two per pixel of its chart could not be told apart. */
const MOST_POINTS = 400;

/**
 * Takes the events of a run, one after another, in order.
 *
 * Groups of neighbouring steps become their means. If there are too many groups, neighbours are joined and
 * the groups to come are twice as long. Of each group one step is kept as it was, for medians.
 */
export class RunHistory {
  /** Steps taken in. */
  steps = 0;
  /** The last step or test. */
  last: ReportedStep | ReportedTest | undefined;
  tests: ReportedTest[] = [];
  /** One step of each group: all of a short run. */
  samples: ReportedStep[] = [];
  /** Steps per group. */
  private length = 1;
  private groups: ReportedStep[] = [];
  /** The sum of the group that is not full yet, and of how many steps. */
  private sum: ReportedStep | undefined;
  private count = 0;

  constructor(events: Iterable<ReportedStep | ReportedTest | { event: 'skip' }> = []) {
    for (const event of events) this.visit(event);
  }

  /** Forgets all events. */
  restart(): void {
    Object.assign(this, new RunHistory());
  }

  visit(event: ReportedStep | ReportedTest | { event: 'skip' }): void {
    if (event.event === 'skip') return;
    this.last = event;
    if (event.event === 'test') this.tests.push(event);
    else this.add(event);
  }

  /** A curve of at most 400 points: means over `stepsPerPoint` neighbouring steps. */
  curve(value: (step: ReportedStep) => number): Measured[] {
    return thinned(
      this.means().map((step) => ({ step: step.step, value: value(step) })),
      MOST_POINTS,
    );
  }

  get stepsPerPoint(): number {
    return this.length * Math.ceil(this.means().length / MOST_POINTS);
  }

  private means(): ReportedStep[] {
    return this.sum === undefined ? this.groups : [...this.groups, scaled(this.sum, this.count)];
  }

  private add(step: ReportedStep): void {
    this.steps++;
    if (this.sum === undefined) {
      if (this.groups.length === 2 * MOST_POINTS) this.joinNeighbours();
      this.samples.push(step);
    }
    this.sum = this.sum === undefined ? step : total(this.sum, step);
    this.count++;
    if (this.count < this.length) return;
    this.groups.push(scaled(this.sum, this.count));
    [this.sum, this.count] = [undefined, 0];
  }

  private joinNeighbours(): void {
    const isFirst = (_: ReportedStep, index: number): boolean => index % 2 === 0;
    this.groups = this.groups
      .filter(isFirst)
      .map((group, index) => scaled(total(group, this.groups[2 * index + 1]!), 2));
    this.samples = this.samples.filter(isFirst);
    this.length *= 2;
  }
}

function total(one: ReportedStep, other: ReportedStep): ReportedStep {
  return eachNumber(one, (value, field) => value + other[field]);
}

function scaled(sum: ReportedStep, count: number): ReportedStep {
  return count === 1 ? sum : eachNumber(sum, (value) => value / count);
}

const NUMBERS = [
  'step',
  'epoch',
  'loss',
  'accuracy',
  'learningRate',
  'imagesPerSecond',
  'stepMs',
  'forwardMs',
  'backwardMs',
  'exchangeMs',
  'exchangeWaitMs',
  'updateMs',
  'dataWaitMs',
] as const satisfies (keyof ReportedStep)[];

function eachNumber(
  step: ReportedStep,
  change: (value: number, field: (typeof NUMBERS)[number]) => number,
): ReportedStep {
  const changed = { ...step };
  for (const field of NUMBERS) changed[field] = change(step[field], field);
  return changed;
}
