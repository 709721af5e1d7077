/**
 * Label lists: text files that name each image's class, as Caffe (`name label`), Kaggle (CSV with a header) and
 * tiny-imagenet (columns with tabs) have them.
 */
import { readSmallText } from '../bounded_file.js';
import { UserError } from '../errors.js';
import { comparable } from './listing.js';

/** Bytes of a list: a million lines of 200. */
const LONGEST = 1 << 28;

interface Row {
  line: number;
  /** The image's file name, without folders and without its ending. */
  image: string;
  label: string;
}

/** What a list says, and how its labels were understood. */
export interface ListedLabels {
  /** int32 [images], indices into the classes. */
  labels: Int32Array;
  /** One line about labels that are numbers; null if they are names. */
  notice: string | null;
}

/** The image's name as lists have it: without folders, with or without its ending. */
function stem(image: string): string {
  const name = image.slice(Math.max(image.lastIndexOf('/'), image.lastIndexOf('\\')) + 1);
  const dot = name.lastIndexOf('.');
  return comparable(dot > 0 ? name.slice(0, dot) : name);
}

/** The lines of a text, each with its number from 1, without empty lines and comments. */
export function linesOf(file: string): { line: number; text: string }[] {
  return readSmallText(file, LONGEST)
    .split(/\r\n|\r|\n/)
    .map((text, index) => ({ line: index + 1, text: text.trim() }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'));
}

/** How a list separates a name from its label. */
type Separator = '\t' | ',' | ';' | 'blank';

const SEPARATORS: Separator[] = ['\t', ',', ';', 'blank'];

/** The fields of a line. A field in quotes may contain the separator; blanks separate only the last word. */
function fieldsOf(text: string, separator: Separator): string[] {
  if (separator !== 'blank') return separated(text, separator);
  const parts = /^(.*?)\s+("(?:[^"]|"")*"|\S+)$/.exec(text);
  return parts === null ? [unquoted(text)] : parts.slice(1).map(unquoted);
}

function separated(text: string, separator: string): string[] {
  const fields: string[] = [];
  let [field, isQuoted] = ['', false];
  for (const letter of text) {
    if (letter === '"') isQuoted = !isQuoted;
    if (letter !== separator || isQuoted) field += letter;
    else {
      fields.push(unquoted(field));
      field = '';
    }
  }
  return [...fields, unquoted(field)];
}

function unquoted(field: string): string {
  const trimmed = field.trim();
  const isQuoted = trimmed.length > 1 && trimmed.startsWith('"') && trimmed.endsWith('"');
  return isQuoted ? trimmed.slice(1, -1).replaceAll('""', '"') : trimmed;
}

/**
 * Reads lines of two names, separated by a tab, a comma, a semicolon or the last blank.
 *
 * @returns the second by the first, with accents composed
 * @throws UserError naming a line that has not two names, or repeats a first name
 */
export function readPairs(file: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const { line, text } of linesOf(file)) {
    const fields = SEPARATORS.map((separator) => fieldsOf(text, separator)).find(
      ({ length }) => length > 1,
    );
    const [first, second] = fields ?? [];
    if (first === undefined || second === undefined || pairs.has(comparable(first))) {
      throw new UserError(
        `${file}, line ${line}: "${text}" is not two names, or the first stands twice`,
      );
    }
    pairs.set(comparable(first), comparable(second));
  }
  return pairs;
}

/**
 * Reads a list.
 *
 * Labels are all names of class folders, or all places among the sorted class folders, from 0. A list that can be
 * read both ways, with different results, is refused.
 *
 * @param images file names, the images that need a label
 * @param classes names of the class folders, sorted
 * @throws UserError naming the file, and the line of a label that is no class, an image without a label or with two
 */
export function readLabelList(file: string, images: string[], classes: string[]): ListedLabels {
  const wanted = new Set(images.map(stem));
  const rows = rowsOf(file, wanted);
  const names = new Map(classes.map((name, label) => [name, label]));
  const { read, notice } = readingOf(file, rows, names, classes);
  const listed = new Map<string, number>();
  for (const row of rows) {
    if (listed.has(row.image)) {
      throw new UserError(
        `${file} has more than one line for ${row.image}: keep one, or give these images different names`,
      );
    }
    listed.set(row.image, read(row)!);
  }
  const missing = images.find((image) => !listed.has(stem(image)));
  if (missing !== undefined) {
    throw new UserError(`${file} has no line for ${missing}: add one, or remove the image`);
  }
  return { labels: Int32Array.from(images, (image) => listed.get(stem(image))!), notice };
}

/** Rows by the separator that finds the most images in the list. */
function rowsOf(file: string, wanted: Set<string>): Row[] {
  const lines = linesOf(file);
  const found = SEPARATORS.map((separator) => {
    const fields = lines.map(({ text }) => fieldsOf(text, separator));
    const hits = fields.filter(([image, label]) => label !== undefined && wanted.has(stem(image!)));
    return { fields, hits: hits.length };
  });
  const most = Math.max(...found.map(({ hits }) => hits));
  const { fields } = found.find(({ hits }) => hits === most)!;
  const rows = lines.map(({ line, text }, at) => {
    const [image, label] = fields[at]!;
    if (label === undefined) {
      throw new UserError(`${file}, line ${line}: "${text}" is not an image's name and its class`);
    }
    return { line, image: stem(image!), label: comparable(label) };
  });
  // A header names its columns, not an image.
  const hasHeader = rows.length > wanted.size && !wanted.has(rows[0]!.image);
  const body = hasHeader ? rows.slice(1) : rows;
  if (body.length === wanted.size) return body;
  throw new UserError(
    `${file} has ${body.length} labels, but there are ${wanted.size} images: use the list of these images`,
  );
}

type Reading = (row: Row) => number | undefined;

function readingOf(
  file: string,
  rows: Row[],
  names: Map<string, number>,
  classes: string[],
): { read: Reading; notice: string | null } {
  // Kaggle's list has boxes after the name.
  const byName: Reading = ({ label }) => names.get(label) ?? names.get(label.split(' ')[0]!);
  const byPlace: Reading = ({ label }) => {
    const place = /^\d+$/.test(label) ? Number(label) : NaN;
    return place < classes.length ? place : undefined;
  };
  const wrongName = rows.find((row) => byName(row) === undefined);
  const wrongPlace = rows.find((row) => byPlace(row) === undefined);
  if (wrongName !== undefined && wrongPlace !== undefined) {
    const wrong = rows.some(({ label }) => !/^\d+$/.test(label)) ? wrongName : wrongPlace;
    throw new UserError(
      `${file}, line ${wrong.line}: "${wrong.label}" is neither a class folder's name nor a number from 0 to ${classes.length - 1}: correct the line${hint(rows, classes)}`,
    );
  }
  if (wrongPlace !== undefined) return { read: byName, notice: null };
  const notice = `${file}: labels are places among the sorted class folders, from 0: ${examples(classes)}`;
  if (wrongName !== undefined) return { read: byPlace, notice };
  const contradiction = rows.find((row) => byName(row) !== byPlace(row));
  if (contradiction === undefined) return { read: byName, notice: null };
  const { line, label } = contradiction;
  throw new UserError(
    `${file}, line ${line}: "${label}" may be the folder of that name or, counted from 0, the folder ${classes[byPlace(contradiction)!]}: rename the class folders so that they are no numbers, or sort the images into class folders`,
  );
}

function hint(rows: Row[], classes: string[]): string {
  const numbers = rows.map(({ label }) => Number(label));
  const isFromOne = numbers.every((number) => number >= 1 && number <= classes.length);
  return isFromOne ? '; this list seems to count from 1: write class folders instead' : '';
}

function examples(classes: string[]): string {
  const few = classes.slice(0, 2).map((name, place) => `${place} is ${name}`);
  return [...few, `${classes.length - 1} is ${classes.at(-1)}`].join(', ');
}
