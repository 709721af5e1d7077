/**
 * Figure 4 of the paper as pictures: test images with their most probable classes, and with the training
 * images nearest to them.
 */
import { dataUri, drawSvg, escapeMarkup, pngOf } from './markup.js';
import type { Picture } from './markup.js';
import { cutText } from './text.js';

/** An image with the network's probabilities for it. */
export interface JudgedImage {
  picture: Picture;
  label: number;
  /** By label; they add up to 1. */
  probabilities: number[];
}

/** A test image and the training images nearest to it, the nearest first. */
export interface Neighbourhood {
  query: { picture: Picture; label: number };
  nearest: { picture: Picture; label: number; distance: number }[];
}

const SIDE = 128;
const MARGIN = 16;
const LINE = 20;
const COLUMNS = 4;

/** Figure 4, left: below each image its class, then the five most probable classes as bars, the right one red. */
export async function drawPredictions(
  images: JudgedImage[],
  classes: string[],
): Promise<Uint8Array> {
  const shown = Math.min(5, classes.length);
  const width = SIDE + 40;
  const height = SIDE + 26 + shown * LINE + MARGIN;
  const columns = Math.min(COLUMNS, images.length);
  const cells: string[] = [];
  for (const [index, { picture, label, probabilities }] of images.entries()) {
    const left = MARGIN + (index % columns) * (width + MARGIN);
    const top = MARGIN + Math.floor(index / columns) * height;
    const order = probabilities
      .map((probability, candidate) => ({ probability, candidate }))
      .sort((one, other) => other.probability - one.probability)
      .slice(0, shown);
    const bars = order.map(({ probability, candidate }, place) => {
      const y = SIDE + 26 + place * LINE;
      const colour = candidate === label ? '#e8837a' : '#8fb4dc';
      return (
        `<rect x="0" y="${y}" width="${width}" height="${LINE - 3}" fill="#f1f1f1"/>` +
        `<rect x="0" y="${y}" width="${Math.max(1, width * probability)}" height="${LINE - 3}" fill="${colour}"/>` +
        `<text x="5" y="${y + 12.5}" font-size="11.5">${className(classes, candidate, 18)}</text>` +
        `<text x="${width - 5}" y="${y + 12.5}" font-size="11.5" text-anchor="end">${(100 * probability).toFixed(0)} %</text>`
      );
    });
    cells.push(
      `<g transform="translate(${left} ${top})">${await imageAt(picture, (width - SIDE) / 2, 0)}` +
        `<text x="${width / 2}" y="${SIDE + 17}" font-size="13" font-weight="bold" text-anchor="middle">` +
        `${className(classes, label, 20)}</text>${bars.join('')}</g>`,
    );
  }
  const rows = Math.ceil(images.length / columns);
  return drawSvg(MARGIN + columns * (width + MARGIN), MARGIN + rows * height, cells.join(''));
}

/** Figure 4, right: in each row a test image, then its nearest training images with class and distance. */
export async function drawNeighbours(
  rows: Neighbourhood[],
  classes: string[],
  caption: string,
): Promise<Uint8Array> {
  const side = 96;
  const step = side + MARGIN;
  const height = side + 44;
  const heading = 30;
  const cells = [
    `<text x="${MARGIN}" y="24" font-size="13">${escapeMarkup(caption)}</text>`,
    `<line x1="${MARGIN * 1.5 + side}" x2="${MARGIN * 1.5 + side}" y1="${heading + 8}" y2="${heading + rows.length * height}" stroke="#999"/>`,
  ];
  for (const [row, { query, nearest }] of rows.entries()) {
    const top = heading + MARGIN / 2 + row * height;
    for (const [column, { picture, label, distance }] of [
      { ...query, distance: null },
      ...nearest,
    ].entries()) {
      const colour = label === query.label ? 'black' : '#b3261e';
      const under = distance === null ? 'test image' : distance.toPrecision(3);
      cells.push(
        `<g transform="translate(${MARGIN + column * step} ${top})">${await imageAt(picture, 0, 0, side)}` +
          `<text x="${side / 2}" y="${side + 14}" font-size="12" fill="${colour}" text-anchor="middle">${className(classes, label, 15)}</text>` +
          `<text x="${side / 2}" y="${side + 28}" font-size="11" fill="#666" text-anchor="middle">${under}</text></g>`,
      );
    }
  }
  const columns = 1 + Math.max(0, ...rows.map(({ nearest }) => nearest.length));
  const width = Math.max(MARGIN + columns * step, 2 * MARGIN + caption.length * 7);
  return drawSvg(width, heading + rows.length * height + MARGIN / 2, cells.join(''));
}

async function imageAt(picture: Picture, x: number, y: number, side = SIDE): Promise<string> {
  const uri = dataUri(await pngOf(picture));
  return `<image x="${x}" y="${y}" width="${side}" height="${side}" href="${uri}"/>`;
}

/** Text escaped and cut to the length that fits. */
function className(classes: string[], label: number, longest: number): string {
  return escapeMarkup(cutText(classes[label]!, longest));
}
