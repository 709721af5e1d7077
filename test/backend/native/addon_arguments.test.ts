/** What is wrong with an argument is said, with the function's name; nothing crashes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  loadNativeAddon,
  nativeIsPrepared,
  type NativeAddon,
} from '../../../src/backend/native/addon.js';

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';
const addon = skip === false ? loadNativeAddon() : undefined!;

const floats = (length: number): Float32Array => new Float32Array(length);
// One image of 4×4×2, a 3×3 filter to 5 channels, padding 1.
const GEOMETRY = [1, 4, 4, 2, 4, 4, 5, 3, 3, 1, 1, 1, 1, 1, 1];
const geometryWith = (position: number, value: number): Int32Array =>
  Int32Array.from(GEOMETRY, (one, index) => (index === position ? value : one));
const detached = (): Float32Array => {
  const array = floats(32);
  structuredClone(array, { transfer: [array.buffer as ArrayBuffer] });
  return array;
};

type Convolution = Parameters<NativeAddon['conv2d']>;
const convolution = (changes: Partial<Record<number, unknown>>): unknown[] => {
  const valid: Convolution = [
    floats(32),
    floats(90),
    floats(5),
    floats(80),
    geometryWith(0, 1),
    'linear',
    'float32',
  ];
  return valid.map((value, index) => (index in changes ? changes[index] : value));
};

const wrongCalls: [string, keyof NativeAddon, unknown[], RegExp][] = [
  ['too few arguments', 'conv2d', [floats(1)], /takes 7 arguments, got 1/],
  ['too many arguments', 'setThreads', [1, 2], /takes 1 arguments, got 2/],
  ['a number for an array', 'conv2d', convolution({ 0: 1 }), /x must be a Float32Array/],
  ['a list for an array', 'conv2d', convolution({ 0: [1, 2] }), /x must be a Float32Array/],
  ['an array of float64', 'conv2d', convolution({ 0: new Float64Array(32) }), /x must be/],
  ['an array of int32', 'conv2d', convolution({ 1: new Int32Array(90) }), /not a Int32Array/],
  ['null for an array', 'conv2d', convolution({ 3: null }), /out must be/],
  ['undefined for an array', 'conv2d', convolution({ 2: undefined }), /bias must be/],
  ['a short array', 'conv2d', convolution({ 0: floats(31) }), /x must have 32 elements, not 31/],
  ['a long output', 'conv2d', convolution({ 3: floats(81) }), /out must have 80 elements/],
  ['a detached array', 'conv2d', convolution({ 0: detached() }), /32 elements, not 0/],
  ['an unknown activation', 'conv2d', convolution({ 5: 'gelu' }), /activation must not be 'gelu'/],
  ['a number for a name', 'conv2d', convolution({ 5: 3 }), /activation must be a string/],
  ['a stride of 0', 'conv2d', convolution({ 4: geometryWith(9, 0) }), /height needs a filter/],
  ['a negative size', 'conv2d', convolution({ 4: geometryWith(3, -2) }), /no negative sizes/],
  ['a short geometry', 'conv2d', convolution({ 4: [1, 2] }), /must hold 15 integers, not 2/],
  ['sizes that overflow', 'conv2d', convolution({ 4: geometryWith(0, 2 ** 31 - 1) }), /elements/],
  [
    'an output too small',
    'conv2d',
    convolution({ 3: floats(40), 4: geometryWith(4, 2) }),
    /height 2 of/,
  ],
  ['padding beyond reason', 'conv2d', convolution({ 4: geometryWith(13, 1e9) }), /above 4096/],
  ['a dilation beyond reason', 'conv2d', convolution({ 4: geometryWith(11, 1e9) }), /above 4096/],
  [
    'batches that differ',
    'matMul',
    [floats(2), floats(3), null, floats(3), [2, 3, 1, 1, 1], false, false, 'linear', 'float32'],
    /batches of 2 and 3/,
  ],
  [
    'a number for a boolean',
    'matMul',
    [floats(1), floats(1), null, floats(1), [1, 1, 1, 1, 1], 1, false, 'linear', 'float32'],
    /transposeA must be a boolean/,
  ],
  [
    'shapes that do not broadcast',
    'binary',
    ['add', floats(2), [2], floats(3), [3], floats(3), [3]],
    /do not go together/,
  ],
  [
    'a result of the wrong shape',
    'binary',
    ['add', floats(2), [2], floats(1), [1], floats(4), [2, 2]],
    /do not go together/,
  ],
  [
    'operands of two types',
    'binary',
    ['add', floats(2), [2], new Int32Array(2), [2], floats(2), [2]],
    /a is a Float32Array, b a Int32Array/,
  ],
  [
    'nine dimensions',
    'binary',
    ['add', floats(1), Array(9).fill(1), floats(1), [1], floats(1), [1]],
    /at most 8 dimensions, not 9/,
  ],
  [
    'a shape of fractions',
    'transpose',
    [floats(2), floats(2), [0.5, 4], [1, 0]],
    /must hold integers/,
  ],
  ['an endless list', 'transpose', [floats(2), floats(2), Array(1e6).fill(1), []], /too long/],
  [
    'a permutation that repeats',
    'transpose',
    [floats(4), floats(4), [2, 2], [1, 1]],
    /each dimension once/,
  ],
  [
    'a box outside',
    'copyBox',
    [floats(4), [4], [3], floats(4), [4], [0], [2]],
    /does not lie inside x/,
  ],
  [
    'an index outside',
    'gather',
    [floats(6), Int32Array.of(0, 3), floats(4), [1, 3, 2]],
    /index 3 is not one of 3/,
  ],
  [
    'a term of other rows',
    'addToChannels',
    [floats(12), floats(5), floats(5), 4, 1],
    /no rows of 4 channels/,
  ],
  [
    'a term beyond the channels',
    'addToChannels',
    [floats(12), floats(6), floats(6), 4, 3],
    /from 3 on/,
  ],
  ['a tiling too small', 'tile', [floats(2), floats(3), [2], [2]], /out has 3 elements/],
  ['times of another rank', 'tile', [floats(2), floats(4), [2], [2, 1]], /times/],
  ['one-hot rows of no column', 'oneHot', [new Int32Array(1), floats(0), 0, 1, 0], /depth/],
  [
    'a table of the wrong length',
    'imagesFromBytes',
    [new Uint8Array(6), floats(767), floats(6)],
    /no pixels of 2 channels/,
  ],
  [
    'an image made of nothing',
    'resizeBilinear',
    [floats(0), floats(4), [1, 0, 2, 2, 2, 1], false, false],
    /x is empty/,
  ],
  ['rows that do not divide', 'softmax', [floats(5), floats(5), 2, false], /no rows of 2/],
  ['a column count of 0', 'softmax', [floats(5), floats(5), 0, false], /integer from 1/],
  [
    'a label that is no class',
    'softmaxCrossEntropy',
    [floats(4), Int32Array.of(0, 2), floats(1), floats(4), 2],
    /label 2 is not one of 2 classes/,
  ],
  ['the greatest of nothing', 'argMax', [floats(0), new Int32Array(1), [1, 0, 1]], /no greatest/],
  [
    'channels that do not divide',
    'localResponseNormalization',
    [floats(5), floats(5), 3, 2, 1, 1, 0.75],
    /no rows of 3 channels/,
  ],
  ['memory that is a list', 'prepareMemory', [[1, 2]], /bytes must be/],
  ['no threads', 'setThreads', [0], /integer from 1/],
  ['a number that is none', 'setThreads', ['2'], /must be a number/],
  ['a rate of 1', 'dropoutMask', [1, 2, 1, floats(4)], /rate must be in \[0, 1\)/],
  [
    'parameters of two lengths',
    'momentumUpdate',
    [floats(2), floats(3), floats(2), floats(1), 1, 1, 1],
    /2/,
  ],
];

for (const [name, called, given, message] of wrongCalls) {
  test(`${called}: ${name}`, { skip }, () => {
    assert.throws(
      () => (addon[called] as (...given: unknown[]) => unknown)(...given),
      (error) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, message);
        assert.ok(error.message.startsWith(`${called}: `), error.message);
        return true;
      },
    );
  });
}
