/**
 * The progress of a long command: a bar that is redrawn in place on a terminal, otherwise lines.
 *
 *     const progress = new ProgressDisplay({ quiet, verbose });
 *     try {
 *       progress.show({ label: 'testing', done: images, of: all });   // as often as one likes
 *       progress.print('a line that stays');                          // never print() in between
 *     } finally {
 *       progress.close();
 *     }
 *
 * The bar, or its lines, go to stderr, so that stdout has only results. No bar is drawn if stderr is not a
 * terminal, if the terminal is dumb, or if `NO_COLOR` is set.
 */
import { note, print } from './printing.js';
import { formatDuration, inRows, printable } from './text.js';

/** How much is printed: with `quiet` only results, warnings and errors; with `verbose` every step. */
export interface Verbosity {
  quiet?: boolean | undefined;
  verbose?: boolean | undefined;
}

/** How far a command has come. */
export interface ProgressReport {
  /** What is being done: `epoch 1/3`, `testing`. */
  label: string;
  done: number;
  of: number;
  /** What `done` counts: `step`, `images`. */
  unit: string;
  /** Seconds until the task ends; if omitted, estimated from the time so far. */
  secondsLeft?: number | undefined;
  /** Shown below the bar, as many per row as fit. */
  details?: string[] | undefined;
}

/** The part of `process.stderr` that the display needs. */
export interface ProgressStream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions extends Verbosity {
  stream?: ProgressStream;
  environment?: NodeJS.ProcessEnv;
  /** Milliseconds. */
  clock?: () => number;
}

/** Fast enough to look smooth, slow enough to cost nothing. */
const REDRAW_MILLISECONDS = 100;
/** Approximate number of lines per task if there is no terminal. */
const LINES = 10;

export class ProgressDisplay {
  /** Whether a bar is drawn. */
  readonly isLive: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;

  private readonly stream: ProgressStream;
  private readonly clock: () => number;
  /** Rows of the bar on the screen; the cursor is behind the last one. */
  private rows: string[] = [];
  private drawnAt = -Infinity;
  /** The current task: when it began, and how much was done then. */
  private task = { name: '', began: 0, done: 0, nextLine: 0 };

  constructor({
    quiet = false,
    verbose = false,
    stream = process.stderr,
    environment = process.env,
    clock = () => performance.now(),
  }: ProgressOptions = {}) {
    this.quiet = quiet;
    this.verbose = verbose;
    this.stream = stream;
    this.clock = clock;
    const { NO_COLOR: noColour = '', TERM: terminal } = environment;
    this.isLive = !quiet && stream.isTTY === true && noColour === '' && terminal !== 'dumb';
  }

  /** Redraws the bar if it is due; without a terminal, prints a line at each tenth of the work. */
  show(report: ProgressReport): void {
    if (this.quiet) return;
    const now = this.clock();
    const isNew = this.task.name !== report.label || report.done < this.task.done;
    if (isNew) this.task = { name: report.label, began: now, done: report.done, nextLine: 0 };
    if (!this.isLive) return this.showLine(report);
    const isLast = report.done === report.of;
    if (!isNew && !isLast && now - this.drawnAt < REDRAW_MILLISECONDS) return;
    this.drawnAt = now;
    this.draw(barRows(report, this.secondsLeft(report, now), this.width()));
  }

  /** Prints a line of results on stdout, above the bar. */
  print(line: string): void {
    this.above(() => print(line));
  }

  /** Prints a line on stderr, such as a warning, above the bar. */
  note(line: string): void {
    this.above(() => note(line));
  }

  /** Removes the bar. */
  close(): void {
    this.draw([]);
  }

  private above(printLine: () => void): void {
    const rows = this.rows;
    this.draw([]);
    printLine();
    this.draw(rows);
  }

  private showLine(report: ProgressReport): void {
    const { label, done, of, unit, details = [] } = report;
    const line = Math.floor((LINES * done) / of);
    if (!this.verbose && line < this.task.nextLine) return;
    this.task.nextLine = line + 1;
    const parts = [`${label}: ${counted(done, of, unit)}`, ...details];
    this.stream.write(`${printable(parts.join('  '))}\n`);
  }

  private secondsLeft({ done, of, secondsLeft }: ProgressReport, now: number): number {
    if (secondsLeft !== undefined) return secondsLeft;
    return ((now - this.task.began) / (done - this.task.done) / 1000) * (of - done);
  }

  /** Leaves the last column free, because some terminals wrap there. A terminal of unknown width has 0 columns. */
  private width(): number {
    return (this.stream.columns || 80) - 1;
  }

  /** Overwrites the rows on the screen. */
  private draw(rows: string[]): void {
    if (rows.length === 0 && this.rows.length === 0) return;
    const up = this.rows.length > 1 ? `\x1b[${this.rows.length - 1}A` : '';
    const text = rows.map((row) => `${printable(row)}\x1b[K`).join('\n');
    this.stream.write(`${up}\r${text}\x1b[J`);
    this.rows = rows;
  }
}

function counted(done: number, of: number, unit: string): string {
  // Padded to the width of the total, so that nothing moves as it grows.
  return `${unit} ${String(done).padStart(String(of).length)}/${of}`;
}

/**
 * `epoch 1/3 ━━━━━━━━━───────── step 120/234  9.5 s left`, then the details in rows of at most `width`
 * characters. In a narrow terminal the bar is left out before any number is.
 */
export function barRows(report: ProgressReport, secondsLeft: number, width: number): string[] {
  const { label, done, of, unit, details = [] } = report;
  const count = counted(done, of, unit);
  const left = `${formatDuration(secondsLeft)} left`;
  const room = width - `${label}  ${count}  ${left}`.length;
  if (room < SHORTEST_BAR) return inRows([label, count, left, ...details], width);
  const length = Math.min(room, LONGEST_BAR);
  const filled = Math.floor((length * done) / of);
  const bar = '━'.repeat(filled) + '─'.repeat(length - filled);
  return [`${label} ${bar} ${count}  ${left}`, ...inRows(details, width)];
}

const SHORTEST_BAR = 5;
const LONGEST_BAR = 40;
