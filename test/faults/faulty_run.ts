/** Runs the real command line with a fault injected (`inject.ts`), on a network of a few milliseconds a step. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder, start, TINY, writeTinyImages } from '../commands/command_line.js';
import type { Outcome, RunningCommand } from '../commands/command_line.js';
import { checkpointFiles } from '../../src/runs/checkpoint_folder.js';
import { chooseCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { openRunFolder } from '../../src/runs/layout.js';
import type { Fault } from './inject.js';

const INJECT = new URL('./inject.js', import.meta.url).href;

/** Two workers, on the CPU unless the file that imports the tests says otherwise. */
const DEVICES = (process.env['TWOTOWER_TESTED_DEVICES'] ?? '--cpu 2').split(' ');

/** How an error names the device of a rank, as a pattern. */
export const DEVICE = DEVICES[0] === '--gpus' ? 'gpu:\\d' : 'cpu';

/** Of the tiny network: 16 batches of 16 in each of 2 epochs. */
export const LAST_STEP = 32;

const EVERY_FIVE_STEPS = ['--checkpoint-every', '5', '--checkpoint-minutes', '0'];

/** A folder for the runs of one test file, with the data that all train on. */
export class Workbench {
  readonly folder = newFolder();
  readonly data = writeTinyImages(join(this.folder, 'data'));

  run(name: string): string {
    return join(this.folder, name);
  }

  /** Starts a new run, or with `resume` goes on with it. */
  start(
    name: string,
    options: string[] = [],
    fault: Omit<Fault, 'log'> | null = null,
    settings: Parameters<typeof start>[1] & {
      resume?: boolean;
      out?: string;
      /** Options that say when checkpoints are saved. */
      saving?: string[];
    } = {},
  ): RunningCommand {
    const { resume = false, out = this.run(name), saving = EVERY_FIVE_STEPS, ...others } = settings;
    const words = resume
      ? ['train', '--resume', out]
      : ['train', '--config', TINY, '--data', this.data, '--out', out];
    return start([...words, ...DEVICES, ...saving, '--log-every', '1', ...options], {
      ...others,
      environment: { ...others.environment, ...this.environmentOf(name, fault) },
    });
  }

  /** Reports a run that has ended. */
  report(name: string, file: string, fault: Omit<Fault, 'log'>): RunningCommand {
    const environment = this.environmentOf(`the report of ${name}`, fault);
    return start(['report', this.run(name), '--out', file], { environment });
  }

  /** Variables that make a fault happen in a process that belongs to this run. */
  environmentOf(name: string, fault: Omit<Fault, 'log'> | null): Record<string, string> {
    if (fault === null) return {};
    const folder = join(this.folder, `fault of ${name}`);
    if (!existsSync(folder)) {
      mkdirSync(folder);
      if (fault.kind === 'native hang') execFileSync('mkfifo', [join(folder, 'pipe')]);
    }
    return {
      NODE_OPTIONS: `--import=${INJECT}`,
      TWOTOWER_TEST_FAULT: JSON.stringify({ ...fault, log: join(folder, 'log') }),
    };
  }

  /** Milliseconds from the fault to the last other rank that stopped waiting; NaN where none waited. */
  stoppingMs(name: string): number {
    const lines = readFileSync(join(this.folder, `fault of ${name}`, 'log'), 'utf8').split('\n');
    const times = (event: string): number[] =>
      lines.filter((line) => line.startsWith(event)).map((line) => Number(line.split(' ')[1]));
    const fault = times('fault').at(-1);
    const stopped = times('stopped');
    return stopped.length === 0 ? Number.NaN : Math.max(...stopped) - fault!;
  }

  /** The steps that have a checkpoint, each of which is read and must be whole. */
  wholeCheckpoints(name: string): number[] {
    const folder = join(this.run(name), 'checkpoints');
    if (!existsSync(folder)) return [];
    const steps = readdirSync(folder)
      .filter((entry) => /^step-\d+$/.test(entry))
      .map((entry) => Number(entry.slice('step-'.length)))
      .sort((a, b) => a - b);
    for (const step of steps) chooseCheckpoint(openRunFolder(this.run(name)), step);
    return steps;
  }

  /** The steps whose checkpoint was set aside because the run diverged after it. */
  suspects(name: string): number[] {
    const names = readdirSync(join(this.run(name), 'checkpoints'));
    const steps = names.map((entry) => /^step-(\d+)\.suspect$/.exec(entry)?.[1]);
    return steps
      .filter((step) => step !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** That both runs ended with the same parameters and velocities, to the bit. */
  assertSameEnd(name: string, other: string, step = LAST_STEP): void {
    const filesOf = (run: string) =>
      checkpointFiles(join(this.run(run), 'checkpoints', `step-${step}`));
    for (const file of ['model', 'optimizer'] as const) {
      const own = readFileSync(filesOf(name)[file]);
      assert.ok(own.equals(readFileSync(filesOf(other)[file])), `${file} differs`);
    }
  }
}

/** The one line of stderr that says why the command failed. */
export function errorLine({ stderr }: Outcome): string {
  return stderr.split('\n').find((line) => line.startsWith('twotower: ')) ?? stderr;
}
