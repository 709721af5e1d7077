/** Reads a list of class names, one per line, in the order of the network's outputs. */
import { linesOf } from '../data/label_list.js';
import { UserError } from '../errors.js';

/**
 * The names in a file, such as Caffe's synset_words.txt. A name that stands again gets its label, as in `crane (517)`:
 * two of ImageNet's classes are called that.
 *
 * @param count classes of the network
 * @throws UserError if the file cannot be read or has another number of names
 */
export function readClassList(file: string, count: number): string[] {
  const lines = linesOf(file).map(({ text }) => text);
  if (lines.length !== count) {
    throw new UserError(
      `${file} has ${lines.length} names, and the network ${count} classes: give one name per line, or set data.classes with --set data.classes=${lines.length}`,
    );
  }
  return lines.map((name, label) => (lines.indexOf(name) < label ? `${name} (${label})` : name));
}
