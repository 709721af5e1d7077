/** Image folders for tests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { type FileList, pathAt } from '../../src/data/file_list.js';
import { RandomSequence, deriveKey } from '../../src/random.js';

/** Writes a PNG of one colour, 12×10 unless said. */
export async function writeFlatImage(
  file: string,
  [r, g, b]: readonly [number, number, number],
  width = 12,
  height = 10,
): Promise<void> {
  mkdirSync(path.dirname(file), { recursive: true });
  const image = { width, height, channels: 3 as const, background: { r, g, b } };
  await sharp({ create: image }).png().toFile(file);
}

/** Writes a PNG of noise, which no format compresses well. */
export async function writeNoise(file: string, side: number): Promise<void> {
  mkdirSync(path.dirname(file), { recursive: true });
  const random = new RandomSequence(deriveKey(5, path.basename(file)));
  const pixels = Uint8Array.from({ length: side * side * 3 }, () => random.below(256));
  await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toFile(file);
}

export function writeBroken(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, 'no image');
}

export function pathsOf(list: FileList): string[] {
  return Array.from(list.ends, (_, index) => pathAt(list, index));
}

/** `train/a`, `train/b` and `test/a`, `test/b` with so many images each, of random colours. */
export async function writeImageFolder(folder: string, train: number, test: number): Promise<void> {
  const random = new RandomSequence(deriveKey(4, 'image folder'));
  for (const name of ['a', 'b']) {
    for (const [split, count] of Object.entries({ train, test })) {
      for (let index = 0; index < count; index++) {
        const colour = [random.below(256), random.below(256), random.below(256)] as const;
        const file = path.join(folder, split, name, `${String(index).padStart(3, '0')}.png`);
        await writeFlatImage(file, colour);
      }
    }
  }
}
