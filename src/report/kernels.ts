/** The first layer's kernels as a PNG. */
import { colourSelectivity, kernelGrid } from './kernel_grid.js';
import type { KernelWeights } from './kernel_grid.js';
import { dataUri, drawSvg, escapeMarkup, pngOf } from './markup.js';
import type { Picture } from './markup.js';

const MARGIN = 16;
/** Pixels per letter of a caption, at most on average. */
const LETTER = 7.5;

/** The grids of all towers, one below the other with their indices, as a PNG. */
export async function drawKernels(
  layer: string,
  weights: KernelWeights,
  towers: number,
): Promise<Uint8Array> {
  const [kernels, , height, width] = weights.shape;
  const grids = colourSelectivity(weights, towers).map((selectivity, tower) => ({
    caption: `Tower ${tower}: ${kernels! / towers} of ${layer}’s kernels, ${height}×${width}×3. Colour selectivity ${selectivity.toFixed(2)}`,
    picture: kernelGrid(weights, towers, tower),
  }));
  return drawGrids(grids);
}

/** Pictures one below the other, each under its caption, as a PNG. */
export async function drawGrids(
  grids: { caption: string; picture: Picture }[],
): Promise<Uint8Array> {
  let top = MARGIN;
  let body = '';
  for (const { caption, picture } of grids) {
    const { width, height } = picture;
    body +=
      `<text x="${MARGIN}" y="${top + 14}" font-size="14">${escapeMarkup(caption)}</text>` +
      `<image x="${MARGIN}" y="${top + 22}" width="${width}" height="${height}" ` +
      `href="${dataUri(await pngOf(picture))}"/>`;
    top += 22 + height + MARGIN;
  }
  const widths = grids.flatMap(({ caption, picture }) => [picture.width, caption.length * LETTER]);
  return drawSvg(Math.ceil(Math.max(...widths)) + 2 * MARGIN, top, body);
}
