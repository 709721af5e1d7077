/**
 * Runs the real command line in a process of its own, as a person would, on a network and a data set
 * that are small enough for a step of a few milliseconds.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomRecords } from '../data/records.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

/** Two towers, every kind of layer and of exchange, batch 16, 2 epochs. */
export const TINY = fileURLToPath(new URL('../../../test/fixtures/tiny.json', import.meta.url));

export interface Outcome {
  /** Exit code; null where a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunningCommand {
  process: ChildProcess;
  /** Resolves when the process has ended and its output is whole. */
  outcome: Promise<Outcome>;
}

interface ProgramSettings {
  cwd?: string;
  environment?: Record<string, string>;
  /** Called with each whole line of stdout as it comes. */
  whenPrinted?: (line: string, process: ChildProcess) => void;
  /** Where stdout goes instead. */
  stdoutFile?: string;
}

export function start(
  commandArguments: string[],
  {
    before = [],
    ...settings
  }: ProgramSettings & {
    /** Another program and its arguments, which starts the command line. */
    before?: string[];
  } = {},
): RunningCommand {
  return startProgram([...before, ...programOf(commandArguments)], settings);
}

/** The program and its arguments that a person's command line stands for. */
export function programOf(commandArguments: string[]): string[] {
  return [process.execPath, CLI, ...commandArguments];
}

/** Starts a program with its arguments. */
export function startProgram(
  [program, ...words]: string[],
  { cwd, environment = {}, whenPrinted = () => {}, stdoutFile }: ProgramSettings = {},
): RunningCommand {
  const stdoutTo = stdoutFile === undefined ? 'pipe' : openSync(stdoutFile, 'w');
  const child = spawn(program!, words, {
    cwd,
    env: { ...process.env, COLUMNS: '', ...environment },
    stdio: ['ignore', stdoutTo, 'pipe'],
  });
  if (typeof stdoutTo === 'number') closeSync(stdoutTo);
  let stdout = '';
  let stderr = '';
  let unfinished = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const lines = (unfinished + text).split('\n');
    unfinished = lines.pop()!;
    lines.forEach((line) => whenPrinted(line, child));
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { process: child, outcome };
}

export async function twotower(
  commandArguments: string[],
  options: Parameters<typeof start>[1] = {},
): Promise<Outcome> {
  return start(commandArguments, options).outcome;
}

/** As `twotower`; anything but exit code 0 is an error with what was printed. */
export async function succeeds(
  commandArguments: string[],
  options: Parameters<typeof start>[1] = {},
): Promise<Outcome> {
  const outcome = await twotower(commandArguments, options);
  if (outcome.code === 0) return outcome;
  throw new Error(
    `twotower ${commandArguments.join(' ')} ended with ${outcome.code ?? outcome.signal}: ${outcome.stderr}`,
  );
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'twotower-commands-'));
}

/** CIFAR-10's layout with 256 training images, 16 batches of 16, and 64 test images of random pixels. */
export function writeTinyImages(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, count: number): void => {
    const labels = Array.from({ length: count }, (_, index) => index % 10);
    writeFileSync(join(folder, name), randomRecords(name, labels));
  };
  [52, 51, 51, 51, 51].forEach((count, index) => write(`data_batch_${index + 1}.bin`, count));
  write('test_batch.bin', 64);
  return folder;
}
