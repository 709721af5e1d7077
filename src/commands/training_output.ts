/** What the command `train` prints: one line per so many batches, per test and per warning. */
import type { Placement } from '../parallel/placement.js';
import { describeDecoder, describeGpu } from '../report/placement_section.js';
import type { ProgressDisplay } from '../report/progress.js';
import {
  MetricsWindow,
  partsOfStep,
  progressParts,
  trainingReport,
} from '../report/training_progress.js';
import type { StepMeasurement } from '../report/training_progress.js';
import { formatCount, formatPercent, inRows, terminalWidth } from '../report/text.js';
import type { RunEvents, RunStart, StepDone, TestDone } from '../runs/events.js';

/** Batches per line without `--log-every`; with a progress bar, only an epoch's last batch has a line. */
const LINES_EVERY = 100;
/** Steps over which the bar's numbers are averaged. */
const BAR_STEPS = 20;

/** @param logEvery batches per line; an epoch's last batch always has one */
export function printTraining(
  events: RunEvents,
  progress: ProgressDisplay,
  logEvery: number | undefined,
): void {
  const every = progress.verbose ? 1 : (logEvery ?? (progress.isLive ? Infinity : LINES_EVERY));
  const sinceLine = new MetricsWindow();
  const latest = new MetricsWindow(BAR_STEPS);
  const printedNotes = new Set<string>();
  // A launcher's pseudo-terminal has no columns.
  const width = process.stdout.columns > 0 ? terminalWidth() : Infinity;
  const print = (...parts: string[]): void => {
    if (!progress.quiet) progress.print(inRows(parts, width).join('\n'));
  };
  events.on('start', (start) => {
    if (!progress.quiet) headLines(start).forEach((line) => progress.print(line));
  });
  events.on('step', (step) => {
    const measured = measurementOf(step);
    sinceLine.add(measured);
    latest.add(measured);
    if (step.batch % every === 0 || step.batch === step.batches) {
      const averages = sinceLine.take()!;
      print(...progressParts(step, averages));
      if (progress.verbose) print(...partsOfStep(averages));
    }
    if (progress.verbose) printNotes(step, printedNotes, print);
    if (progress.isLive) progress.show(trainingReport(step, latest.averages()!));
  });
  events.on('testing', ({ images, of }) => {
    const report = { label: 'testing', unit: 'images', done: images, of };
    if (progress.isLive || progress.verbose) progress.show(report);
  });
  events.on('test', (test) => print(...testParts(`epoch ${test.epoch} test`, test)));
  events.on('finalTest', (test) => print(...testParts(`test, ${test.crops} crops`, test)));
  events.on('checkpoint', ({ path }) => {
    if (progress.verbose) progress.print(`checkpoint ${path}`);
  });
}

/** @param printed notes, to which new ones are added */
function printNotes(
  { timings }: StepDone,
  printed: Set<string>,
  print: (text: string) => void,
): void {
  const notes = new Set(timings.flatMap((timing) => timing.notes ?? []));
  for (const note of notes) if (!printed.has(note)) print(note);
  notes.forEach((note) => printed.add(note));
}

function measurementOf(step: StepDone): StepMeasurement {
  return { ...step, parts: { ...step, exchangeCopyMs: step.exchangeMs - step.exchangeWaitMs } };
}

function headLines(start: RunStart): string[] {
  const { configuration, changes, parameterCount, towers, placement, hosts, backend } = start;
  const { gradientRoute, path, step, jpegDecoder } = start;
  const { name, training } = configuration;
  const { accumulate = 1 } = training;
  const batch = accumulate === 1 ? training.batch : `${accumulate} × ${training.batch}`;
  const towersText = `${towers} tower${towers === 1 ? '' : 's'}`;
  return [
    `${name}: ${formatCount(parameterCount)} parameters, batch ${batch}, seed ${training.seed}`,
    ...(hosts.length === 0
      ? [`${towersText}: ${workersText(placement)}; backend ${backend}`]
      : [`${towersText} on ${hosts.length} hosts; backend ${backend}`]),
    ...hosts.map((host) => `${host.name}: ${workersText(host.placement)}`),
    ...(jpegDecoder === undefined ? [] : [`JPEGs decoded by ${describeDecoder(jpegDecoder)}`]),
    ...(gradientRoute === null ? [] : [`gradients are summed by ${gradientRoute}`]),
    step === 0 ? `run folder ${path}` : `run folder ${path}, from step ${step}`,
    ...changes.map((change) => `changed ${change}`),
  ];
}

function workersText(placement: Placement): string {
  const workers = placement.map(
    ({ ranks, device, threads, gpu }) =>
      `rank ${ranks.join('+')} on ${device} (${gpu === undefined ? `${threads} thread${threads === 1 ? '' : 's'}` : describeGpu(gpu)})`,
  );
  return workers.join(', ');
}

function testParts(
  name: string,
  { top1, top5, loss, images }: Pick<TestDone, 'top1' | 'top5' | 'loss' | 'images'>,
): string[] {
  return [
    `${name}: top-1 ${formatPercent(top1)}`,
    `top-5 ${formatPercent(top5)}`,
    `loss ${loss.toFixed(4)}`,
    `${formatCount(images)} images`,
  ];
}
