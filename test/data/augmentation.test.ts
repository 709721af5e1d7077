import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Crop, cropInto, drawCrop } from '../../src/data/augmentation.js';
import { RandomSequence, deriveKey } from '../../src/random.js';

const HEIGHT = 5;
const WIDTH = 7;
const random = new RandomSequence(deriveKey(1, 'augmentation test'));
const pixels = Uint8Array.from({ length: HEIGHT * WIDTH * 3 }, () => 1 + random.below(255));

/** Pads by four, slices, mirrors: as torchvision's RandomCrop and functional.hflip do. */
function naiveCrop({ top, left, mirrored }: Crop): number[] {
  const at = (row: number, column: number) => [...pixels.subarray((row * WIDTH + column) * 3)];
  const black = [0, 0, 0];
  const padded = Array.from({ length: HEIGHT + 8 }, (_, row) =>
    Array.from({ length: WIDTH + 8 }, (_, column) => {
      const inside = row >= 4 && row < HEIGHT + 4 && column >= 4 && column < WIDTH + 4;
      return inside ? at(row - 4, column - 4).slice(0, 3) : black;
    }),
  );
  const rows = padded
    .slice(top + 4, top + 4 + HEIGHT)
    .map((row) => row.slice(left + 4, left + 4 + WIDTH));
  return rows.map((row) => (mirrored ? row.reverse() : row)).flat(2);
}

for (const mirrored of [false, true]) {
  test(`${mirrored ? 'mirrored ' : ''}crops equal padding, slicing and mirroring at every offset`, () => {
    const out = new Uint8Array(pixels.length).fill(77);
    for (let top = -4; top <= 4; top++) {
      for (let left = -4; left <= 4; left++) {
        const crop = { top, left, mirrored };
        cropInto({ height: HEIGHT, width: WIDTH, pixels }, crop, out);
        assert.deepEqual([...out], naiveCrop(crop), JSON.stringify(crop));
      }
    }
  });
}

const draws = Array.from({ length: 2000 }, (_, index) => drawCrop(3, 0, index, 2, true));

test('every crop offset within the padding is drawn about equally often', () => {
  const counts = new Map<string, number>();
  for (const { top, left } of draws) {
    counts.set(`${top},${left}`, (counts.get(`${top},${left}`) ?? 0) + 1);
  }
  assert.equal(counts.size, 25);
  // Each is binomial with mean 80 and deviation 8.8: five deviations.
  for (const [offset, count] of counts) assert.ok(count > 36 && count < 124, `${offset}: ${count}`);
});

test('about half of the images are mirrored', () => {
  const mirrored = draws.filter((crop) => crop.mirrored).length;
  // Binomial with mean 1000 and deviation 22: five deviations.
  assert.ok(mirrored > 888 && mirrored < 1112, `${mirrored}`);
});

test('without flip no image is mirrored and the crops stay the same', () => {
  for (const [index, crop] of draws.entries()) {
    assert.deepEqual(drawCrop(3, 0, index, 2, false), { ...crop, mirrored: false });
  }
});

test('without padding there is no offset', () => {
  const { top, left } = drawCrop(3, 0, 5, null, true);
  assert.deepEqual([top, left], [0, 0]);
});

test('epochs, seeds and examples each draw their own crops', () => {
  const sequence = (seed: number, epoch: number, first: number) =>
    JSON.stringify(
      Array.from({ length: 20 }, (_, index) => drawCrop(seed, epoch, first + index, 4, true)),
    );
  const drawn = [sequence(1, 0, 0), sequence(1, 1, 0), sequence(2, 0, 0), sequence(1, 0, 20)];
  assert.equal(new Set(drawn).size, 4);
});
