/** What `train` prints of a run's events. Called by the command. */
import { progressLine, MetricsWindow } from '../report/progress.js';
import { formatCount, formatPercent } from '../report/text.js';
import type { RunEvents, RunStart, StepDone, TestDone } from '../training/events.js';

/** @param logEvery batches between lines; an epoch's last batch has one too */
export function printTraining(events: RunEvents, logEvery: number): void {
  const window = new MetricsWindow();
  const endWindow = (step: StepDone) => console.log(progressLine(step, window.take()!));
  events.on('warning', (message) => console.error(`warning: ${message}`));
  events.on('start', printHead);
  events.on('step', (step) => {
    window.add(step);
    if (step.batch % logEvery === 0 || step.batch === step.batches) endWindow(step);
  });
  events.on('test', printTest);
}

function printHead(start: RunStart): void {
  const { configuration, parameterCount, towers, placement, backend, path, step } = start;
  const { name, training } = configuration;
  const where = placement
    .map(
      ({ ranks, device, threads }) =>
        `rank ${ranks.join('+')} on ${device} (${threads} thread${threads === 1 ? '' : 's'})`,
    )
    .join(', ');
  console.log(
    `${name}: ${formatCount(parameterCount)} parameters, batch ${training.batch}, seed ${training.seed}`,
  );
  console.log(`${towers} tower${towers === 1 ? '' : 's'}: ${where}; backend ${backend}`);
  console.log(step === 0 ? `run folder ${path}` : `run folder ${path}, from step ${step}`);
}

function printTest({ epoch, top1, top5, loss, images }: TestDone): void {
  console.log(
    `epoch ${epoch} test: top-1 ${formatPercent(top1)}  top-5 ${formatPercent(top5)}  loss ${loss.toFixed(4)}  ${formatCount(images)} images`,
  );
}
