/**
 * Running other programs during set-up, and what set-up prints: one line per step, with size and time. The
 * programs' own output is shown with `--verbose`, or if they fail. All of it goes to stderr, because stdout
 * belongs to the command that set-up precedes. A signal that ends set-up ends the programs too.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { clearInterval, setInterval } from 'node:timers';

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
/** Whether a signal is ending them. */
let isInterrupted = false;

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {string[]} programArguments
 * @param {{ cwd?: string, verbose?: boolean }} [options] verbose: show its output as it comes
 * @returns {Promise<void>}
 * @throws {Error} naming the program and the cause, with the end of its output if that was not shown
 */
export function run(program, programArguments, { cwd, verbose = isVerbose() } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, programArguments, {
      ...(cwd === undefined ? {} : { cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (output = (output + text).slice(-4000)));
      if (verbose) stream.pipe(process.stderr, { end: false });
    }
    child.on('error', (error) => {
      running.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      // The process ends when all have ended. Their failures would be recorded as reasons not to try again.
      if (isInterrupted) return;
      if (code === 0) resolve();
      else {
        const cause = causeIn(output);
        const message = `${program} ended with ${signal ?? `code ${code}`}${cause && `: ${cause}`}`;
        reject(new Error(cause && !verbose ? `${message}\n${output.trim()}` : message));
      }
    });
  });
}

/** Whether set-up, or the command that it precedes, is to print everything. */
function isVerbose() {
  return process.argv.includes('--verbose');
}

/**
 * The line that says why a program failed: the first that speaks of an error, as compilers, pip and Python
 * write it, because later ones are often consequences; otherwise the last.
 * @param {string} output
 */
function causeIn(output) {
  const lines = output.trim().split('\n');
  return (lines.find((line) => /error[: ]/i.test(line)) ?? lines.at(-1) ?? '').trim();
}

/**
 * Whether a program starts and succeeds, e.g. `works('python3', ['-m', 'pip', '--version'])`.
 * @param {string} program
 * @param {string[]} programArguments
 */
export function works(program, programArguments) {
  return spawnSync(program, programArguments, { stdio: 'ignore' }).status === 0;
}

/**
 * From now on, an interrupt ends the running programs, then this process. If the process ended first, the next
 * set-up would find them still writing.
 * @returns {() => void} undoes this
 */
export function endChildrenOnSignals() {
  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    isInterrupted = true;
    const ended = [...running].map((child) => once(child, 'close'));
    for (const child of running) child.kill(signal);
    await Promise.allSettled(ended);
    process.stderr.write('\nset-up interrupted; the next one repeats the unfinished step\n');
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  return () => {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  };
}

const PREFIX = 'twotower set-up: ';

/**
 * The steps under way, for the line that counts their seconds on a terminal.
 * @type {Set<() => string>}
 */
const counting = new Set();

/**
 * One line of progress on stderr.
 * @param {string} text
 */
export function say(text) {
  process.stderr.write(`${counting.size > 0 ? '\r\x1b[K' : ''}${PREFIX}${text}\n`);
}

/**
 * Takes a step of set-up and prints it with its time in one line. On a terminal the line is there from the
 * beginning, and counts; steps under way at the same time share one.
 * @template Result
 * @param {string} text what is done, and how much: `fetching oneDNN (8 MB)`
 * @param {() => Promise<Result>} step
 * @returns {Promise<Result>}
 */
export async function timed(text, step) {
  const start = Date.now();
  const seconds = () => Math.round((Date.now() - start) / 1000);
  const line = () => `${text} … ${seconds()} s`;
  const show = () =>
    process.stderr.write(
      `\r\x1b[K${PREFIX}${[...counting].map((underWay) => underWay()).join(', ')}`,
    );
  const isCounting = process.stderr.isTTY && !isVerbose();
  const ticker = isCounting ? setInterval(show, 1000) : undefined;
  if (isCounting) {
    counting.add(line);
    show();
  }
  try {
    const result = await step();
    say(`${text}: ${seconds()} s`);
    return result;
  } catch (error) {
    if (isCounting) process.stderr.write('\n');
    throw error;
  } finally {
    clearInterval(ticker);
    counting.delete(line);
  }
}
