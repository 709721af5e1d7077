import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageView } from '../../src/configuration.js';
import {
  type Window,
  centreWindow,
  cutInto,
  drawWindow,
  refuseImpossibleCrops,
  sizeWithShorterSide,
  testWindows,
} from '../../src/data/views.js';
import { UserError } from '../../src/errors.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { golden, goldenImage } from './golden_views.js';

const HEIGHT = 5;
const WIDTH = 7;
const random = new RandomSequence(deriveKey(1, 'augmentation test'));
const pixels = Uint8Array.from({ length: HEIGHT * WIDTH * 3 }, () => 1 + random.below(255));

/** Pads by four, slices, mirrors: as torchvision's RandomCrop and functional.hflip do. */
function naiveCut({ top, left, height, width, mirrored }: Window): number[] {
  const at = (row: number, column: number) => [...pixels.subarray((row * WIDTH + column) * 3)];
  const black = [0, 0, 0];
  const padded = Array.from({ length: HEIGHT + 8 }, (_, row) =>
    Array.from({ length: WIDTH + 8 }, (_, column) => {
      const inside = row >= 4 && row < HEIGHT + 4 && column >= 4 && column < WIDTH + 4;
      return inside ? at(row - 4, column - 4).slice(0, 3) : black;
    }),
  );
  const rows = padded
    .slice(top + 4, top + 4 + height)
    .map((row) => row.slice(left + 4, left + 4 + width));
  return rows.map((row) => (mirrored ? row.reverse() : row)).flat(2);
}

for (const mirrored of [false, true]) {
  test(`${mirrored ? 'mirrored ' : ''}windows equal padding, slicing and mirroring at every offset and size`, () => {
    for (const [height, width] of [
      [HEIGHT, WIDTH],
      [3, 4],
    ] as const) {
      const out = new Uint8Array(height * width * 3).fill(77);
      for (let top = -4; top <= 4 + HEIGHT - height; top++) {
        for (let left = -4; left <= 4 + WIDTH - width; left++) {
          const window = { top, left, height, width, mirrored };
          cutInto({ height: HEIGHT, width: WIDTH, pixels }, window, out);
          assert.deepEqual([...out], naiveCut(window), JSON.stringify(window));
        }
      }
    }
  });
}

test("windows, mirrored or not, are torchvision's", () => {
  const { height, width, pixels } = goldenImage;
  for (const { pixels: expected, ...window } of golden.windows) {
    const out = new Uint8Array(pixels.length);
    cutInto(goldenImage, { ...window, height, width }, out);
    assert.deepEqual([...out], expected);
  }
});

test("ten crops are torchvision's, but with the centre first", () => {
  const [height, width] = golden.input;
  const cut = testWindows(goldenImage, { height, width }, 10).map((window) => {
    const out = new Uint8Array(height * width * 3);
    cutInto(goldenImage, window, out);
    return [...out];
  });
  const [topLeft, topRight, bottomLeft, bottomRight, centre, ...mirrored] = golden.tenCrop;
  const five = [centre, topLeft, topRight, bottomLeft, bottomRight];
  // It mirrors the image before it cuts, so that its left is our right.
  assert.deepEqual(cut, [...five, ...[4, 1, 0, 3, 2].map((at) => mirrored[at])]);
});

test('ten crops of images that are seen whole are refused, naming the field and the remedy', () => {
  assert.throws(
    () => refuseImpossibleCrops(10, { type: 'resize' }),
    (error) =>
      error instanceof UserError &&
      /data\.view\.type is resize: set data\.view to/.test(error.message),
  );
});

const PAD: ImageView = { type: 'pad', pixels: 2 };
const CROP: ImageView = { type: 'crop', from: 12 };
const IMAGE = { height: 12, width: 12 };
const INPUT = { height: 8, width: 8 };

/** 2000 images' windows; either view has 25 offsets. */
const drawn = (view: ImageView, flip = true) =>
  Array.from({ length: 2000 }, (_, index) =>
    drawWindow({ seed: 3, epoch: 0, index }, view, IMAGE, INPUT, flip),
  );

for (const [view, size, first] of [
  [PAD, 12, -2],
  [CROP, 8, 0],
] as const) {
  test(`${view.type}: every offset is drawn about equally often`, () => {
    const counts = new Map<string, number>();
    for (const { top, left, height, width } of drawn(view)) {
      assert.deepEqual([height, width], [size, size]);
      const isWithin = [top, left].every((at) => at >= first && at <= first + 4);
      assert.ok(isWithin, `${top}, ${left}`);
      counts.set(`${top},${left}`, (counts.get(`${top},${left}`) ?? 0) + 1);
    }
    assert.equal(counts.size, 25);
    // Each is binomial with mean 80 and deviation 8.8: five deviations.
    for (const [offset, count] of counts)
      assert.ok(count > 36 && count < 124, `${offset}: ${count}`);
  });
}

test('resize: the window is the whole image', () => {
  const { top, left, height, width } = drawn({ type: 'resize' })[0]!;
  assert.deepEqual([top, left, height, width], [0, 0, 12, 12]);
});

test('about half of the images are mirrored', () => {
  const mirrored = drawn(CROP).filter((window) => window.mirrored).length;
  // Binomial with mean 1000 and deviation 22: five deviations.
  assert.ok(mirrored > 888 && mirrored < 1112, `${mirrored}`);
});

test('without flip no image is mirrored and the windows stay the same', () => {
  const flipped = drawn(CROP);
  for (const [index, window] of drawn(CROP, false).entries()) {
    assert.deepEqual(window, { ...flipped[index], mirrored: false });
  }
});

test('epochs, seeds and examples each draw their own windows', () => {
  const sequence = (seed: number, epoch: number, first: number) =>
    JSON.stringify(
      Array.from({ length: 20 }, (_, index) =>
        drawWindow({ seed, epoch, index: first + index }, CROP, IMAGE, INPUT, true),
      ),
    );
  const draws = [sequence(1, 0, 0), sequence(1, 1, 0), sequence(2, 0, 0), sequence(1, 0, 20)];
  assert.equal(new Set(draws).size, 4);
});

test('the centre of an odd margin lies half a pixel up and left', () => {
  const { top, left } = centreWindow({ height: 256, width: 32 }, { height: 227, width: 24 });
  assert.deepEqual([top, left], [14, 4]);
});

test('the shorter side becomes as asked for, the longer one in proportion, rounded down', () => {
  assert.deepEqual(sizeWithShorterSide({ height: 375, width: 500 }, 256), {
    height: 256,
    width: 341,
  });
  assert.deepEqual(sizeWithShorterSide({ height: 50, width: 30 }, 32), { height: 53, width: 32 });
});
