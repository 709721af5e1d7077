/**
 * Completes the names that yargs cannot know: presets and run folders. yargs itself completes commands,
 * options and their choices, through the script that `twotower completion` prints.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { presetNames } from '../configuration.js';

/** The option that the script puts before the words of the command line. */
export const COMPLETION_REQUEST = '--get-yargs-completions';

/** The commands whose first argument is a run folder. */
const ON_RUNS = ['evaluate', 'predict', 'visualize', 'report', 'export'];

/**
 * @param words the command line so far: the program's name first, the word being typed last, perhaps empty
 * @returns undefined if yargs is to complete the word
 */
export function namesFor(words: string[]): string[] | undefined {
  const [current, previous] = words.toReversed();
  if (current === undefined || previous === undefined || current.startsWith('-')) return undefined;
  if (previous === '--preset') return presetNames();
  const isRun =
    ['--resume', '--init'].includes(previous) || (words.length === 3 && ON_RUNS.includes(previous));
  return isRun ? runFolders() : undefined;
}

/** Those in `runs/`, where `train` makes them by default. */
function runFolders(): string[] {
  if (!existsSync('runs')) return [];
  return readdirSync('runs')
    .map((name) => join('runs', name))
    .filter((path) => existsSync(join(path, 'config.json')));
}
