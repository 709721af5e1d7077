/** Training images before and after augmentation, one per row. */
import { type Picture, dataUri, drawSvg, escapeMarkup, pngOf } from './markup.js';

/** A training image: whole, and as training sees it in successive epochs. */
export interface Sample {
  /** Its class. */
  name: string;
  before: Picture;
  after: Picture[];
}

const SIDE = 128;
const MARGIN = 12;
const HEADING = 34;
const NAME = 24;

export async function drawSamples(samples: Sample[]): Promise<Uint8Array> {
  const columns = 1 + Math.max(0, ...samples.map(({ after }) => after.length));
  const left = (column: number) => MARGIN + column * (SIDE + MARGIN) + (column > 0 ? MARGIN : 0);
  const cells: string[] = [];
  for (let column = 0; column < columns; column++) {
    const heading = column === 0 ? 'before' : `epoch ${column}`;
    cells.push(`<text x="${left(column)}" y="22" font-size="13">${heading}</text>`);
  }
  for (const [row, { name, before, after }] of samples.entries()) {
    const top = HEADING + row * (SIDE + NAME);
    for (const [column, picture] of [before, ...after].entries()) {
      const uri = dataUri(await pngOf(picture));
      cells.push(
        `<image x="${left(column)}" y="${top}" width="${SIDE}" height="${SIDE}" href="${uri}"/>`,
      );
    }
    const short = name.length > 60 ? `${name.slice(0, 59)}…` : name;
    cells.push(
      `<text x="${left(0)}" y="${top + SIDE + 15}" font-size="12">${escapeMarkup(short)}</text>`,
    );
  }
  return drawSvg(left(columns), HEADING + samples.length * (SIDE + NAME), cells.join(''));
}
