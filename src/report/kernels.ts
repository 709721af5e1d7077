/** The first layer's kernels as a PNG. */
import { colourSelectivity, kernelGrid } from './kernel_grid.js';
import type { KernelWeights } from './kernel_grid.js';
import { dataUri, drawSvg, pngOf } from './markup.js';

/** The grids of all towers, one below the other with their indices, as a PNG. */
export async function drawKernels(
  layer: string,
  weights: KernelWeights,
  towers: number,
): Promise<Uint8Array> {
  const selectivity = colourSelectivity(weights, towers);
  const [kernels, , height, width] = weights.shape;
  const margin = 16;
  let top = margin;
  let body = '';
  let widest = 0;
  for (let tower = 0; tower < towers; tower++) {
    const grid = kernelGrid(weights, towers, tower);
    body +=
      `<text x="${margin}" y="${top + 14}" font-size="14">Tower ${tower}: ${kernels! / towers} of ` +
      `${layer}’s kernels, ${height}×${width}×3. Colour selectivity ${selectivity[tower]!.toFixed(2)}</text>` +
      `<image x="${margin}" y="${top + 22}" width="${grid.width}" height="${grid.height}" ` +
      `href="${dataUri(await pngOf(grid))}"/>`;
    top += 22 + grid.height + margin;
    widest = Math.max(widest, grid.width);
  }
  return drawSvg(Math.max(widest + 2 * margin, 440), top, body);
}
