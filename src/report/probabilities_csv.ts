/** The probabilities of each tested image as CSV (RFC 4180), for other programs. */

/** One line of the file. */
export interface ImageProbabilities {
  /** Its number in the test set, from 0. */
  number: number;
  /** Its file, or what else it is called. */
  name: string;
  label: number;
  /** float64 [classes] */
  probabilities: number[];
}

/** Digits of a probability: the logits that it comes from are float32, which has about seven. */
const DIGITS = 9;

/** The lines, with one of headings before them: `number`, `image`, `label`, then the classes' names. */
export function* probabilitiesCsv(
  classes: readonly string[],
  images: Iterable<ImageProbabilities>,
): Generator<Uint8Array, void, void> {
  const encoder = new TextEncoder();
  const line = (fields: string[]): Uint8Array =>
    encoder.encode(`${fields.map(quotedIfNeeded).join(',')}\r\n`);
  yield line(['number', 'image', 'label', ...classes]);
  for (const { number, name, label, probabilities } of images) {
    const rounded = probabilities.map((value) => String(Number(value.toPrecision(DIGITS))));
    yield line([String(number), name, classes[label]!, ...rounded]);
  }
}

function quotedIfNeeded(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
