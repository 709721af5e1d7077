/**
 * What a shell is offered for the next word: the names of presets and run folders, which yargs cannot know;
 * it adds commands, options and their choices itself. Called by the command line, for the scripts that
 * `twotower completion` prints.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { presetNames } from '../configuration.js';

/** What the shell's script puts before the words of its line. */
export const COMPLETION_REQUEST = '--get-yargs-completions';

/** Commands whose first argument is a run folder. */
const ON_RUNS = ['evaluate', 'predict', 'visualize', 'report', 'export'];

/**
 * @param words the line so far, from the program's name to the word that is being typed, perhaps empty
 * @returns undefined where it is for yargs to say
 */
export function namesFor(words: string[]): string[] | undefined {
  const [current, previous] = words.toReversed();
  if (current === undefined || previous === undefined || current.startsWith('-')) return undefined;
  if (previous === '--preset') return presetNames();
  const isRun = previous === '--resume' || (words.length === 3 && ON_RUNS.includes(previous));
  return isRun ? runFolders() : undefined;
}

/** Where `train` puts them: `runs/NAME`. */
function runFolders(): string[] {
  if (!existsSync('runs')) return [];
  return readdirSync('runs')
    .map((name) => join('runs', name))
    .filter((path) => existsSync(join(path, 'config.json')));
}
