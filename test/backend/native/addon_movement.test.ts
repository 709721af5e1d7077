import assert from 'node:assert/strict';
import { test } from 'node:test';
import { productOf } from './references.js';
import { addon, skip } from './tested_addon.js';

function coordinatesOf(index: number, shape: readonly number[]): number[] {
  const coordinates: number[] = [];
  for (const size of [...shape].reverse()) {
    coordinates.unshift(index % size);
    index = Math.floor(index / size);
  }
  return coordinates;
}

function indexOf(coordinates: readonly number[], shape: readonly number[]): number {
  return coordinates.reduce((index, at, d) => index * shape[d]! + at, 0);
}

for (const [shape, permutation] of [
  [[], []],
  [[5], [0]],
  [
    [37, 21],
    [1, 0],
  ],
  [
    [3, 5, 7],
    [0, 2, 1],
  ],
  [
    [3, 5, 7],
    [1, 0, 2],
  ],
  [
    [3, 5, 7],
    [2, 1, 0],
  ],
  [
    [2, 9, 4, 17],
    [0, 3, 1, 2],
  ],
  [
    [2, 9, 4, 17],
    [3, 2, 0, 1],
  ],
  [
    [2, 1, 4, 1, 3],
    [4, 3, 2, 1, 0],
  ],
  [
    [0, 3],
    [1, 0],
  ],
  [
    [300, 400],
    [1, 0],
  ],
] as const) {
  for (const Type of [Float32Array, Uint8Array]) {
    test(
      `transpose of [${shape.join(', ')}] by [${permutation.join(', ')}], ${Type.name}`,
      { skip },
      () => {
        const length = productOf(shape);
        const x = new Type(length).map((_, index) => index % 251);
        const out = new Type(length);
        addon.transpose(x, out, shape, permutation);
        const outShape = permutation.map((d) => shape[d]!);
        out.forEach((value, index) => {
          const at = coordinatesOf(index, outShape);
          const source = shape.map((_, d) => at[(permutation as readonly number[]).indexOf(d)]!);
          assert.equal(value, x[indexOf(source, shape)]);
        });
      },
    );
  }
}

for (const [xShape, xStart, outShape, outStart, size] of [
  [[], [], [], [], []],
  [[10], [3], [6], [1], [5]],
  [
    [4, 6],
    [0, 2],
    [4, 3],
    [0, 0],
    [4, 3],
  ],
  [
    [4, 6],
    [1, 0],
    [9, 6],
    [5, 0],
    [3, 6],
  ],
  [
    [2, 5, 6, 3],
    [0, 0, 0, 0],
    [2, 9, 8, 3],
    [0, 2, 1, 0],
    [2, 5, 6, 3],
  ],
  [
    [3, 4, 5],
    [1, 1, 1],
    [3, 4, 5],
    [0, 2, 3],
    [2, 2, 2],
  ],
  [
    [2, 3],
    [0, 3],
    [2, 3],
    [0, 0],
    [2, 0],
  ],
  [
    [2, 200_000],
    [0, 5],
    [2, 199_990],
    [0, 1],
    [2, 199_980],
  ],
] as const) {
  test(
    `a box of [${size.join(', ')}] from [${xShape.join(', ')}] into [${outShape.join(', ')}]`,
    { skip },
    () => {
      const x = Float32Array.from({ length: productOf(xShape) }, (_, index) => index);
      const out = new Float32Array(productOf(outShape)).fill(-1);
      addon.copyBox(x, xShape, xStart, out, outShape, outStart, size);
      const wrong = out.findIndex((value, index) => {
        const inBox = coordinatesOf(index, outShape).map((at, d) => at - outStart[d]!);
        const inside = inBox.every((at, d) => at >= 0 && at < size[d]!);
        const source = inBox.map((at, d) => at + xStart[d]!);
        return value !== (inside ? x[indexOf(source, xShape)] : -1);
      });
      assert.equal(wrong, -1);
    },
  );
}
