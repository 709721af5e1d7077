/** Kernels of any layer and activations, as grids of grey tiles, tower by tower. */
import { UserError } from '../errors.js';
import { drawGrids } from './kernels.js';
import type { Picture } from './markup.js';
import { formatPercent } from './text.js';

/** A layer's kernels, one plane per kernel and input channel. */
export interface LayerKernels {
  /** `[kernels, inputs, height, width]` */
  shape: [number, number, number, number];
  data: Float32Array;
}

/** What a layer puts out for one picture, after its ReLU. */
export interface LayerMaps {
  layer: string;
  /** Of each tower, `[height, width, channels]`. */
  towers: { shape: [number, number, number]; data: Float32Array }[];
}

/** Grey planes of one size. */
interface Tiles {
  count: number;
  height: number;
  width: number;
  columns: number;
  /** Pixels per value. */
  scale: number;
}

/** Pixels between tiles. */
const GAP = 2;
/** Pixels that a grid may be wide, if it is up to us. */
const WIDTH = 900;
/** Least side of a map, pixels. */
const MAP_SIDE = 24;
/** Most pixels of a grid. */
const MOST_PIXELS = 1 << 26;

/**
 * Draws a layer's kernels, a row per kernel and a column per input channel. Zero is mid-grey. Each kernel is scaled by
 * its own largest weight.
 *
 * @returns a PNG
 * @throws UserError if that makes no reasonable picture
 */
export async function drawLayerKernels(
  layer: string,
  { shape, data }: LayerKernels,
  towers: number,
): Promise<Uint8Array> {
  const [kernels, inputs, height, width] = shape;
  const own = kernels / towers;
  const length = inputs * height * width;
  const scale = Math.max(1, Math.min(6, Math.floor(WIDTH / (inputs * (width + GAP)))));
  const tiles = { count: Math.ceil(own) * inputs, height, width, columns: inputs, scale };
  refuseHuge(layer, tiles);
  const grids = Array.from({ length: towers }, (_, tower) => {
    const first = Math.floor(tower * own);
    const count = Math.floor((tower + 1) * own) - first;
    const largest = Array.from({ length: count }, (_, kernel) =>
      data
        .subarray((first + kernel) * length, (first + kernel + 1) * length)
        .reduce((most, weight) => Math.max(most, Math.abs(weight)), 1e-30),
    );
    const picture = grid({ ...tiles, count: count * inputs }, (tile, position) => {
      const weight = data[first * length + tile * height * width + position]!;
      return 127.5 * (1 + weight / largest[Math.floor(tile / inputs)]!);
    });
    const caption = `Tower ${tower}: ${count} of ${layer}’s kernels, a row each; ${inputs} inputs of ${height}×${width}`;
    return { caption, picture };
  });
  return drawGrids(grids);
}

/**
 * Draws activations, a tile per channel. Black is 0, and white the largest of the layer, so that towers can be compared.
 *
 * @param seen the picture as the network sees it
 * @returns a PNG
 */
export async function drawMaps(seen: Picture, layers: LayerMaps[]): Promise<Uint8Array> {
  const grids = layers.flatMap(({ layer, towers }) => {
    const values = towers.map(({ data }) => data);
    const largest = Math.max(1e-30, ...values.map((data) => data.reduce((a, b) => Math.max(a, b))));
    const sums = values.map((data) => data.reduce((sum, value) => sum + value, 0));
    const all = sums.reduce((sum, part) => sum + part, 0);
    return towers.map(({ shape: [height, width, channels], data }, tower) => {
      const scale = Math.max(1, Math.ceil((height === 1 ? 8 : MAP_SIDE) / height));
      const columns = Math.min(channels, Math.floor(WIDTH / (width * scale + GAP)));
      const picture = grid({ count: channels, height, width, columns, scale }, (tile, position) => {
        return (255 * Math.max(0, data[position * channels + tile]!)) / largest;
      });
      const share = all > 0 ? formatPercent(sums[tower]! / all) : 'nothing';
      const kind = height * width === 1 ? 'units' : `maps of ${height}×${width}`;
      const caption = `${layer}, tower ${tower}: ${channels} ${kind}, ${share} of the layer’s activation`;
      return { caption, picture };
    });
  });
  return drawGrids([{ caption: 'What the network sees', picture: seen }, ...grids]);
}

function refuseHuge(layer: string, tiles: Tiles): void {
  const { height, width } = sizeOf(tiles);
  if (height * width <= MOST_PIXELS) return;
  throw new UserError(
    `layer ${layer}: its kernels would be a picture of ${width}×${height} pixels: name a smaller layer`,
  );
}

function sizeOf({ count, height, width, columns, scale }: Tiles): {
  width: number;
  height: number;
} {
  return {
    width: columns * (width * scale + GAP) + GAP,
    height: Math.ceil(count / columns) * (height * scale + GAP) + GAP,
  };
}

/** @param brightness 0 to 255, of a tile at a position in row-major order */
function grid(tiles: Tiles, brightness: (tile: number, position: number) => number): Picture {
  const { count, height, width, columns, scale } = tiles;
  const size = sizeOf(tiles);
  const pixels = new Uint8Array(size.width * size.height * 3).fill(255);
  for (let tile = 0; tile < count; tile++) {
    const left = GAP + (tile % columns) * (width * scale + GAP);
    const top = GAP + Math.floor(tile / columns) * (height * scale + GAP);
    for (let y = 0; y < height * scale; y++) {
      for (let x = 0; x < width * scale; x++) {
        const position = Math.floor(y / scale) * width + Math.floor(x / scale);
        const at = ((top + y) * size.width + left + x) * 3;
        pixels.fill(Math.round(brightness(tile, position)), at, at + 3);
      }
    }
  }
  return { ...size, pixels };
}
