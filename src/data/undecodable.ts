/** The images of a data set that could not be decoded, and the limit on their number. */
import { UserError } from '../errors.js';
import type { Dataset } from './examples.js';
import type { Undecodable } from './decoder.js';
import type { Split } from './split.js';

/** Share of a split that may be undecodable if the configuration does not say. */
const DEFAULT_LIMIT = 0.01;

/** An image that could not be decoded. */
export interface UndecodableFile {
  split: Split;
  /** Its number in the split. */
  index: number;
  file: string;
  reason: string;
}

export function undecodableWarning({ split, file, reason }: UndecodableFile): string {
  const consequence = split === 'train' ? 'another image replaces it' : 'the test leaves it out';
  return `${file} cannot be decoded (${reason}); ${consequence}`;
}

export class UndecodableImages {
  /** Each image once, in the order in which they were met. */
  readonly files: UndecodableFile[] = [];

  private readonly indices = { train: new Set<number>(), test: new Set<number>() };

  /** @param limit share of a split that may be undecodable (default 0.01) */
  constructor(
    private readonly dataset: Dataset,
    private readonly limit = DEFAULT_LIMIT,
  ) {}

  /** @throws UserError if more of the split than the limit cannot be decoded */
  record(split: Split, undecodable: Undecodable[]): void {
    const indices = this.indices[split];
    for (const { index, file, reason } of undecodable) {
      if (indices.has(index)) continue;
      indices.add(index);
      this.files.push({ split, index, file, reason });
    }
    const { count } = this.dataset[split];
    if (indices.size < count && indices.size <= this.limit * count) return;
    const { file, reason } = this.files.findLast((image) => image.split === split)!;
    throw new UserError(
      `${file} cannot be decoded (${reason}), nor can ${indices.size - 1} other ${split} images, more than ${100 * this.limit} % of ${count}: replace or remove them, or raise data.undecodableLimit`,
    );
  }
}
