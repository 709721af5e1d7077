/** What NumPy and torchvision made of an image: scripts/golden_views.py. */
import { readFileSync } from 'node:fs';

interface Golden {
  shape: [number, number];
  input: [number, number];
  windows: { top: number; left: number; mirrored: boolean; pixels: number[] }[];
  tenCrop: number[][];
  averaging: {
    logits: number[][][];
    labels: number[];
    probabilities: number[][];
    loss: number;
  };
  colour: {
    eigenvalues: number[];
    eigenvectors: number[][];
    alphas: number[];
    noise: { eigenvalue: number[]; standardDeviation: number[] };
  };
  normalized: {
    meanImage: number[];
    std: number[];
    images: { eigenvalue: number[]; standardDeviation: number[] };
  };
}

export const golden = JSON.parse(
  readFileSync(new URL('../../../test/golden/views.json', import.meta.url), 'utf8'),
) as Golden;

const [height, width] = golden.shape;

/** The image that the script made. */
export const goldenImage = {
  height,
  width,
  pixels: Uint8Array.from(
    { length: height * width * 3 },
    (_, byte) => Math.imul(byte, 2654435761) >>> 24,
  ),
};
