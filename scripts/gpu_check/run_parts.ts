/** Runs parts of the GPU check, each in a process of its own: what fails on a GPU may end the process, or spoil it for later work. */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Figure, Outcome } from './figures.js';
import type { PartMessage, PartRequest } from './part_process.js';
import type { PartName } from './parts.js';
import type { Settings } from './settings.js';

export interface PartResult extends Outcome {
  part: PartName;
  figures: Figure[];
  seconds: number;
}

const PROGRAM = fileURLToPath(new URL('./part_process.js', import.meta.url));

/** Characters of a failed process's last output that its reason quotes. */
const QUOTED = 300;

/**
 * Runs one part to its end.
 *
 * @param seconds after which its process is ended, and the part has failed with the figures that it had by then
 */
export function runPart(part: PartName, settings: Settings, seconds: number): Promise<PartResult> {
  const start = performance.now();
  const figures: Figure[] = [];
  let outcome: Outcome | undefined;
  let printed = '';
  let isLate = false;
  // For runs and checkpoints, which a process that is ended leaves.
  const scratch = mkdtempSync(join(tmpdir(), 'twotower-gpu-check-'));
  const child = fork(PROGRAM, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, TMPDIR: scratch },
  });
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, seconds * 1000);
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-QUOTED);
      process.stderr.write(text);
    });
  }
  child.on('message', (message: PartMessage) => {
    if ('figure' in message) figures.push(message.figure);
    else outcome = message.outcome;
  });
  const request: PartRequest = { part, settings };
  child.send(request);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      rmSync(scratch, { recursive: true });
      const how = isLate
        ? `it was ended after ${Math.round(seconds)} s`
        : `its process ended with ${signal ?? `code ${code}`}: ${printed.trim()}`;
      const ended = outcome ?? { state: 'failed', reason: how };
      resolve({ part, ...ended, figures, seconds: (performance.now() - start) / 1000 });
    });
  });
}

/**
 * Runs parts one after another.
 *
 * @param seconds for all of them together; a part for which no time is left has failed
 * @param afterEach hears each result
 */
export async function runParts(
  parts: readonly PartName[],
  settings: Settings,
  seconds: number,
  afterEach: (result: PartResult) => void,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (const part of parts) {
    const left = (end - performance.now()) / 1000;
    afterEach(
      left > 0
        ? await runPart(part, settings, left)
        : { part, state: 'failed', reason: 'no time was left', figures: [], seconds: 0 },
    );
  }
}
