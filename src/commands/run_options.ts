/** The options that name a run, a checkpoint, and how a run is tested. */
import type { Crops } from '../data/views.js';
import { UserError } from '../errors.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import { path, textOption } from './option_kinds.js';
import type { Help, Option } from './option_table.js';

/** The positional argument of the commands on one run. */
export const runArgument = { run: path({ describe: 'Run folder' }) };

/** Of the commands that make a run. */
export const newRunOption = {
  out: path({
    group: 'Run:',
    describe: 'New run folder (default runs/PRESET, numbered if that is taken)',
  }),
};

/** Of the commands that read a run. */
export const checkpointOption = {
  checkpoint: checkpointChoice({
    describe: 'Which checkpoint: latest, best (by its test) or a step (default latest)',
  }),
};

/** Of the commands whose network may begin with parameters that are there already. */
export const initOption = {
  init: path({
    group: 'Run:',
    describe: 'Initial parameters: a safetensors file, as export writes it, or a run folder',
  }),
};

/** Of the commands that use data with the classes of a run. */
export const classesOption = {
  classes: path({
    describe:
      'File that maps class names, if the data has others than the run: lines NAME IN THE DATA, NAME IN THE RUN',
  }),
};

export const cropsOption = {
  crops: textOption(
    {
      choices: ['1', '10'],
      describe:
        "Crops of each image, whose probabilities are averaged (default as in the run's tests)",
    },
    (given) => Number(given) as Crops,
  ),
};

export function checkpointChoice(help: Help): Option<CheckpointChoice> {
  return textOption(help, (given, name) => {
    if (given === 'latest' || given === 'best') return given;
    if (/^\d+$/.test(given)) return Number(given);
    throw new UserError(
      `--${name} takes latest, best or the step of a checkpoint; it is "${given}"`,
    );
  });
}
