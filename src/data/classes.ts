/**
 * The classes of a run and those of a data set, brought together by name.
 *
 * A network knows its classes by number. Data sets number their classes by the order of their names, so the same
 * pictures in folders of other names, or with one folder more, have other numbers.
 */
import { UserError } from '../errors.js';
import type { Dataset } from './examples.js';
import { readPairs } from './label_list.js';
import { comparable } from './listing.js';

/** How many names of each side a message lists. */
const SHOWN = 3;

/**
 * A data set whose labels are those of a run.
 *
 * @param classes the run's class names, by label
 * @param file lines `NAME IN THE DATA, NAME IN THE RUN`; undefined if the names are the same. With a file, classes of
 *   the run may be absent from the data
 * @throws UserError with the difference of both lists if a class cannot be mapped
 */
export function withClasses(dataset: Dataset, classes: string[], file?: string): Dataset {
  const renamed = file === undefined ? new Map<string, string>() : readPairs(file);
  const labels = new Map(classes.map((name, label) => [keyOf(name), label]));
  const targets = dataset.classes.map((name) => keyOf(renamed.get(comparable(name)) ?? name));
  const reached = new Set(targets);
  const added = dataset.classes.filter((_, at) => !labels.has(targets[at]!));
  const absent = classes.filter((name) => !reached.has(keyOf(name)));
  if (added.length > 0 || (absent.length > 0 && file === undefined)) {
    throw new UserError(
      `the data's classes are not the run's: ${difference(added, absent)}; use data with the same classes, or say which is which with --classes FILE (lines "NAME IN THE DATA, NAME IN THE RUN")`,
    );
  }
  const relabelled = targets.map((target) => labels.get(target)!);
  const isSame = relabelled.every((label, at) => label === at);
  return { ...dataset, classes, ...(!isSame && { relabelled }) };
}

/** ImageNet's classes compare by their WordNet number: `n02012849 crane` in a list of names is the folder `n02012849`. */
function keyOf(name: string): string {
  return /^n\d{8}(?= )/.exec(name)?.[0] ?? comparable(name);
}

function difference(added: string[], absent: string[]): string {
  const only = (who: string, names: string[]) => {
    const rest = names.length > SHOWN ? ` … (${names.length})` : '';
    return names.length === 0 ? [] : [`only ${who} has ${names.slice(0, SHOWN).join(', ')}${rest}`];
  };
  return [...only('the data', added), ...only('the run', absent)].join(', ');
}
