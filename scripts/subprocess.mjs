/**
 * Running other programs during set-up. Their output goes to stderr, because stdout belongs to the
 * command that set-up precedes. A signal that ends set-up ends them too.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { clearInterval, setInterval } from 'node:timers';

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {string[]} programArguments
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean }} [options] quiet: show output only on failure
 * @returns {Promise<void>}
 * @throws {Error} naming the program and the cause, below that the end of its output where that was kept quiet
 */
export function run(program, programArguments, { cwd, env, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, programArguments, {
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      stdio: ['ignore', quiet ? 'pipe' : 2, 'pipe'],
    });
    running.add(child);
    let output = '';
    const keep = (/** @type {string} */ text) => (output = (output + text).slice(-4000));
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
    if (!quiet) child.stderr?.pipe(process.stderr, { end: false });
    child.on('error', (error) => {
      running.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      if (code === 0) resolve();
      else {
        const cause = causeIn(output);
        const message = `${program} ended with ${signal ?? `code ${code}`}${cause && `: ${cause}`}`;
        reject(new Error(quiet && cause ? `${message}\n${output.trim()}` : message));
      }
    });
  });
}

/**
 * The line that says why a program failed: the first of an error, as compilers, pip and Python write it,
 * since what follows is often a consequence; else the last.
 * @param {string} output
 */
function causeIn(output) {
  const lines = output.trim().split('\n');
  return (lines.find((line) => /error[: ]/i.test(line)) ?? lines.at(-1) ?? '').trim();
}

/**
 * Whether a program starts and ends well, e.g. `works('python3', ['-m', 'pip', '--version'])`.
 * @param {string} program
 * @param {string[]} programArguments
 */
export function works(program, programArguments) {
  return spawnSync(program, programArguments, { stdio: 'ignore' }).status === 0;
}

/**
 * From now on, an interrupt ends the programs that run, then this process: not before them, or the next
 * run would find them still writing.
 * @returns {() => void} undoes it
 */
export function endChildrenOnSignals() {
  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    const ended = [...running].map((child) => once(child, 'close'));
    for (const child of running) child.kill(signal);
    await Promise.allSettled(ended);
    process.stderr.write('\nset-up interrupted; the next run begins the unfinished step again\n');
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  return () => {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  };
}

/**
 * One line of progress on stderr.
 * @param {string} text
 */
export function say(text) {
  process.stderr.write(`twotower set-up: ${text}\n`);
}

/**
 * Says what is being done, and on a terminal how long it has taken so far.
 * @template Result
 * @param {string} text
 * @param {() => Promise<Result>} step
 * @returns {Promise<Result>}
 */
export async function timed(text, step) {
  const start = Date.now();
  const seconds = () => Math.round((Date.now() - start) / 1000);
  say(`${text} …`);
  const ticker = process.stderr.isTTY
    ? setInterval(() => process.stderr.write(`\r  ${seconds()} s `), 1000)
    : undefined;
  try {
    return await step();
  } finally {
    clearInterval(ticker);
    if (process.stderr.isTTY) process.stderr.write('\r');
    say(`${text}: ${seconds()} s`);
  }
}
