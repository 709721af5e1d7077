/** The dashboard's first page: all runs of a folder, those under way on top. */
import { html } from './markup.js';
import type { Markup } from './markup.js';
import type { PageContent } from './page.js';
import { formatCount, formatPercent, localTime } from './text.js';

/** One run, as far as the page tells of it. */
export interface RunRow {
  /** Name of its folder. */
  name: string;
  /** Address of its page, relative to this one. */
  address: string;
  /** null if the run cannot be read; so are the accuracies before the first test, and the throughput. */
  preset: string | null;
  status: string;
  step: number;
  /** Epochs completed; while the run is under way, the current one. */
  epoch: number;
  epochs: number;
  /** Top-1 accuracy of the best and of the last test, fractions. */
  best: number | null;
  last: number | null;
  /** Throughput of the last start; while the run is under way, the current one. */
  imagesPerSecond: number | null;
  /** ISO 8601. */
  changed: string;
  /** Why the run cannot be read. */
  error?: string | undefined;
}

const UNDER_WAY = 'training';

const COLUMNS: [heading: string, cell: (run: RunRow) => string | Markup][] = [
  ['status', ({ status }) => statusOf(status)],
  ['preset', ({ preset }) => preset ?? '–'],
  ['step', ({ step }) => formatCount(step)],
  ['epoch', ({ epoch, epochs }) => `${epoch}/${epochs}`],
  ['last top-1', ({ last }) => percent(last)],
  ['best top-1', ({ best }) => percent(best)],
  ['images/s', ({ imagesPerSecond }) => imagesPerSecond?.toFixed(1) ?? '–'],
  ['changed', ({ changed }) => localTime(new Date(changed))],
];

/** @param folder what the page calls it */
export function runsPage(folder: string, runs: readonly RunRow[]): PageContent {
  const underWay = runs.filter(({ status }) => status === UNDER_WAY);
  const others = runs.filter(({ status }) => status !== UNDER_WAY);
  const names = underWay.map(({ name }) => name).join(', ');
  const count = runs.length === 1 ? '1 run' : `${formatCount(runs.length)} runs`;
  return {
    title: folder,
    subtitle:
      underWay.length === 0 ? `${count} · none under way` : `${count} · under way: ${names}`,
    sections: [listing([...underWay, ...others])],
  };
}

/** A table that becomes a list of cards on a narrow screen. */
function listing(runs: readonly RunRow[]): Markup {
  return html`<table class="runs">
    <thead>
      <tr>
        <th scope="col">run</th>
        ${COLUMNS.map(([heading]) => html`<th scope="col">${heading}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${runs.map(row)}
    </tbody>
  </table>`;
}

function row(run: RunRow): Markup {
  const { name, address, error } = run;
  const head = html`<th scope="row"><a href="${address}">${name}</a></th>`;
  if (error !== undefined) {
    return html`<tr>
      ${head}
      <td data-heading="status">${statusOf(run.status)}</td>
      <td class="alarm" colspan="${COLUMNS.length - 1}">${error}</td>
    </tr>`;
  }
  return html`<tr>
    ${head}
    ${COLUMNS.map(([heading, cell]) => html`<td data-heading="${heading}">${cell(run)}</td>`)}
  </tr>`;
}

function statusOf(status: string): Markup {
  const alarming = ['failed', 'killed', 'unreadable'].includes(status);
  return html`<strong class="${alarming ? 'alarm' : ''}">${status}</strong>`;
}

function percent(accuracy: number | null): string {
  return accuracy === null ? '–' : formatPercent(accuracy);
}
