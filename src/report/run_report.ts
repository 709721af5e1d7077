/**
 * The page of `report` and of `train --dashboard`: the settings of runs, their curves and what they learned.
 * It shows one run, or several in the same charts.
 */
import { drawCurves, seriesColour } from './charts.js';
import type { Curve } from './charts.js';
import { confusionSection } from './confusion.js';
import type { ClassResults } from './confusion.js';
import { settingsOf, layersOf } from './configuration_listing.js';
import { colourSelectivity, kernelGrid } from './kernel_grid.js';
import type { KernelWeights } from './kernel_grid.js';
import { dataUri, html, pngOf } from './markup.js';
import type { Markup } from './markup.js';
import { figure, legend, section, table } from './page.js';
import { placementSection, type ReportedPlacement } from './placement_section.js';
import type { PageContent } from './page.js';
import { quantile } from './quantiles.js';
import type { ReportedStep, ReportedTest, RunHistory } from './run_history.js';
import { differBySeedAlone, seedsTable } from './seeds.js';
import { dividedStep, dividedTime } from './step_time.js';
import { formatCount, formatDuration, formatPercent } from './text.js';

export interface ReportedRun {
  /** What the page calls it. */
  name: string;
  configuration: { towers: number; network: { layers: { type: string }[] } };
  history: RunHistory;
  /** null while the run is under way, or after a kill. */
  summary:
    | (ReportedPlacement & {
        status: string;
        error?: string;
        epochs: number;
        steps: number;
        wallSeconds: number;
        imagesPerSecond: number;
        parameters: number;
        hosts?: string[];
        warnings: string[];
        /** Images that could not be decoded. */
        undecodable: string[];
      })
    | null;
  /** Of a run under way, which has no summary yet; undefined where that is not known. */
  placed?: ReportedPlacement | undefined;
  /** Of a checkpoint; null if there is none, or the first layer reads no colours. */
  kernels: { layer: string; step: number; weights: KernelWeights } | null;
  classResults: ClassResults | null;
}

const LISTED_FILES = 5;

/** @param runs at least one */
export async function runReport(runs: readonly ReportedRun[]): Promise<PageContent> {
  const alone = runs.length === 1 ? runs[0]! : undefined;
  const sections: (Markup | null)[] = [
    section('Overview', overview(runs), ...seeds(runs), ...runs.flatMap(remarks)),
    curves(runs),
    stepTime(runs),
    placementSection(runs),
    await kernels(runs),
    ...runs.map(({ name, classResults }) =>
      classResults === null
        ? null
        : confusionSection(alone === undefined ? ` of ${name}` : '', classResults),
    ),
    section('Configuration', ...configuration(runs)),
  ];
  return {
    title: runs.map(({ name }) => name).join(', '),
    subtitle: alone === undefined ? `${runs.length} runs over each other` : standing(alone),
    sections: sections.filter((part) => part !== null),
  };
}

/** One line: how far the run has come, and its accuracy. */
function standing(run: ReportedRun): string {
  const { summary, history } = run;
  const { last } = history;
  const test = lastTestOf(run);
  return [
    summary?.status ?? 'under way',
    last === undefined ? 'no step yet' : `step ${formatCount(last.step)}, epoch ${last.epoch}`,
    ...(test === undefined ? [] : [`test top-1 ${accuracy(test.top1, test)}`]),
  ].join(' · ');
}

/** The metrics have tests of one crop per image; a last test of more is only in `test.json`. */
function lastTestOf({
  history,
  classResults,
}: ReportedRun): Pick<ClassResults, 'loss' | 'top1' | 'top5' | 'crops'> | undefined {
  const test = history.tests.at(-1);
  if (classResults !== null && classResults.step >= (test?.step ?? 0)) return classResults;
  return test && { ...test, crops: 1 };
}

function accuracy(share: number, { crops }: Pick<ClassResults, 'crops'>): string {
  return crops === 1 ? formatPercent(share) : `${formatPercent(share)}, ${crops} crops`;
}

/** A table with one row per figure and one column per run. */
function overview(runs: readonly ReportedRun[]): Markup {
  const optional = <Value>(value: Value | undefined | null, shown: (value: Value) => string) =>
    value === undefined || value === null ? '–' : shown(value);
  const rows: [string, (run: ReportedRun) => string][] = [
    ['status', ({ summary }) => summary?.status ?? 'under way or killed'],
    ['steps', ({ history }) => optional(history.last, ({ step }) => formatCount(step))],
    ['epochs completed', ({ summary }) => optional(summary, ({ epochs }) => formatCount(epochs))],
    ['test top-1', (run) => optional(lastTestOf(run), (test) => accuracy(test.top1, test))],
    ['test top-5', (run) => optional(lastTestOf(run), (test) => accuracy(test.top5, test))],
    ['test loss', (run) => optional(lastTestOf(run), ({ loss }) => loss.toFixed(4))],
    ['parameters', ({ summary }) => optional(summary, (of) => formatCount(of.parameters))],
    [
      'images/s in training',
      ({ summary }) => optional(summary, (of) => of.imagesPerSecond.toFixed(1)),
    ],
    [
      'time since the last start',
      ({ summary }) => optional(summary, (of) => formatDuration(of.wallSeconds)),
    ],
  ];
  if (runs.some(({ summary }) => summary?.hosts !== undefined)) {
    rows.push(['hosts', ({ summary }) => optional(summary?.hosts, (hosts) => hosts.join(', '))]);
  }
  return table({
    caption: 'The last test and the whole training',
    headings: ['', ...runs.map(({ name }) => name)],
    rows: rows.map(([heading, shown]) => [heading, ...runs.map(shown)]),
    numeric: true,
  });
}

/** Mean and standard deviation of the tests, if the runs differ by their seed alone. */
function seeds(runs: readonly ReportedRun[]): Markup[] {
  if (!differBySeedAlone(runs.map((run) => run.configuration))) return [];
  const complete = runs.filter(({ summary }) => summary?.status === 'completed');
  return [seedsTable(complete.flatMap((run) => lastTestOf(run) ?? []))].filter(
    (part) => part !== null,
  );
}

/** Why a run failed, and what it warned of. */
function remarks({ name, summary }: ReportedRun): Markup[] {
  if (summary === null) return [];
  const failure = summary.error === undefined ? [] : [`failed: ${summary.error}`];
  return [
    ...failure.map((text) => html`<p class="alarm">${name} ${text}</p>`),
    ...summary.warnings.map((text) => html`<p class="note">${name}: ${text}</p>`),
    ...(summary.undecodable.length === 0
      ? []
      : [html`<p class="note">${name}: ${undecodableText(summary.undecodable)}</p>`]),
  ];
}

function undecodableText(files: string[]): string {
  const some = files.slice(0, LISTED_FILES).join(', ');
  return `images that could not be decoded: ${formatCount(files.length)}: ${some}${files.length > LISTED_FILES ? ' …' : ''}`;
}

function curves(runs: readonly ReportedRun[]): Markup | null {
  if (runs.every(({ history }) => history.steps === 0)) return null;
  const training = (value: (step: ReportedStep) => number): Curve[] =>
    runs.map((run, series) => ({
      series,
      kind: 'train',
      points: run.history.curve(value),
    }));
  const testing = (value: (test: ReportedTest) => number): Curve[] =>
    runs.map((run, series) => ({
      series,
      kind: 'test',
      points: run.history.tests.map((test) => ({ step: test.step, value: value(test) })),
    }));
  const rates = runs.flatMap((run) => run.history.samples.map(({ learningRate }) => learningRate));
  const chart = (title: string, axis: Parameters<typeof drawCurves>[1], drawn: Curve[]): Markup => {
    const description = `${title} over the steps of ${runs.map(({ name }) => name).join(', ')}.`;
    return figure(title, drawCurves({ title, description }, axis, drawn));
  };
  const each = Math.max(...runs.map(({ history }) => history.stepsPerPoint));
  return section(
    'Curves',
    legend(runs.map(({ name }, series) => ({ colour: seriesColour(series), label: name }))),
    html`<p class="note">
      Thin: training${each > 1 ? `, each point the mean of ${each} steps` : ', each step'}, with
      dropout and augmentation. Bold, with dots: tests.
    </p>`,
    html`<div class="figures">
      ${[
        chart('Loss', { label: 'nats' }, [
          ...training(({ loss }) => loss),
          ...testing(({ loss }) => loss),
        ]),
        chart('Accuracy (top-1)', { label: '%', percent: true }, [
          ...training(({ accuracy }) => accuracy),
          ...testing(({ top1 }) => top1),
        ]),
        chart(
          'Learning rate',
          { label: 'rate', logarithmic: spans(rates) },
          training(({ learningRate }) => learningRate),
        ),
        chart(
          'Throughput',
          { label: 'images/s' },
          training(({ imagesPerSecond }) => imagesPerSecond),
        ),
      ]}
    </div>`,
  );
}

/** Whether values differ so much that a linear axis would show the smaller ones as zero. */
function spans(values: readonly number[]): boolean {
  let [least, most] = [Infinity, 0];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return least > 0 && most / least >= 20;
}

function stepTime(runs: readonly ReportedRun[]): Markup | null {
  const bars = runs.flatMap((run) => {
    const steps = run.history.samples;
    if (steps.length === 0) return [];
    const median = (value: (step: ReportedStep) => number): number =>
      quantile(steps.map(value), 0.5);
    const stepMs = median((step) => step.stepMs);
    const onHosts = steps.filter(({ exposedMs }) => exposedMs !== undefined);
    const ofHosts = (value: (step: ReportedStep) => number): number =>
      quantile(onHosts.map(value), 0.5);
    const parts = {
      data: median(({ dataWaitMs }) => dataWaitMs),
      forward: median(({ forwardMs }) => forwardMs),
      backward: median(({ backwardMs }) => backwardMs),
      copy: median(({ exchangeMs, exchangeWaitMs }) => exchangeMs - exchangeWaitMs),
      wait: median(({ exchangeWaitMs }) => exchangeWaitMs),
      ...(onHosts.length > 0 && { hosts: ofHosts(({ exposedMs }) => exposedMs!) }),
      update: median(({ updateMs }) => updateMs),
    };
    const communication =
      onHosts.length === 0
        ? ''
        : `, communicating ${ofHosts(({ communicationMs }) => communicationMs!).toFixed(1)} ms`;
    const label = `${run.name}: ${stepMs.toFixed(1)} ms${communication}`;
    return [{ label, parts: dividedStep(stepMs, parts) }];
  });
  return bars.length === 0 ? null : dividedTime(bars);
}

async function kernels(runs: readonly ReportedRun[]): Promise<Markup | null> {
  const figures: Markup[] = [];
  for (const { name, configuration, kernels } of runs) {
    if (kernels === null) continue;
    const { layer, step, weights } = kernels;
    const { towers } = configuration;
    const selectivity = colourSelectivity(weights, towers);
    for (let tower = 0; tower < towers; tower++) {
      const grid = kernelGrid(weights, towers, tower);
      const title = `${name}, tower ${tower} after step ${formatCount(step)}: colour selectivity ${selectivity[tower]!.toFixed(2)}`;
      const alternative = `${weights.shape[0]! / towers} kernels of ${layer}, tower ${tower}`;
      const image = html`<img
        src="${dataUri(await pngOf(grid))}"
        width="${grid.width}"
        height="${grid.height}"
        alt="${alternative}"
      />`;
      figures.push(figure(title, image));
    }
  }
  if (figures.length === 0) return null;
  return section(
    'First-layer kernels',
    html`<p class="note">
      Tower by tower, as in Figure 3 of the paper; each kernel scaled by its own largest weight.
      Colour selectivity: 0 sees brightness alone, 1 colour alone, 0.67 is what random weights have.
    </p>`,
    html`<div class="pictures">${figures}</div>`,
  );
}

/** The settings of all runs, those that differ in bold, then the layers of each different network. */
function configuration(runs: readonly ReportedRun[]): Markup[] {
  const settings = runs.map((run) => settingsOf(run.configuration));
  const fields = [...new Set(settings.flatMap((own) => [...own.keys()]))];
  const rows = fields.map((field) => {
    const values = settings.map((own) => own.get(field) ?? '–');
    const differ = values.some((value) => value !== values[0]);
    return [
      field,
      ...values.map((value) => (differ ? html`<strong>${value}</strong>` : html`${value}`)),
    ];
  });
  const networks = runs.map((run) => layersOf(run.configuration.network.layers));
  return [
    table({
      caption: runs.length === 1 ? 'Settings' : 'Settings; those that differ in bold',
      headings: ['field', ...runs.map(({ name }) => name)],
      rows,
    }),
    ...networks.flatMap((layers, index) => {
      const earlier = networks.slice(0, index).map((other) => JSON.stringify(other));
      if (earlier.includes(JSON.stringify(layers))) return [];
      return [
        table({
          caption: runs.length === 1 ? 'Layers' : `Layers of ${runs[index]!.name}`,
          headings: ['layer', 'what it is'],
          rows: layers,
        }),
      ];
    }),
  ];
}
