/**
 * Every other kernel against tfjs's CPU backend, which computes each element in float64, and against
 * TensorFlow's kernels where set-up has them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { useBackend } from '../../../src/backend/backend.js';
import { tensorFlowIsPrepared } from '../../../src/backend/device_pin.js';
import { convolve } from '../../../src/backend/fused.js';
import type { NativeAddon } from '../../../src/backend/native/addon.js';
import { assertClose, assertRan, Draw, skip, useNative } from './native_kernels.js';

type Results = { shape: number[]; dtype: tf.DataType; values: number[] }[];

function resultsOf(compute: () => tf.Tensor | tf.Tensor[]): Results {
  return tf.tidy(() =>
    [compute()].flat().map((tensor) => ({
      shape: tensor.shape,
      dtype: tensor.dtype,
      values: [...tensor.dataSync()],
    })),
  );
}

/** Computes on both backends; integers and bools must be equal, floats within the tolerance. */
async function assertAgrees(
  what: string,
  compute: () => tf.Tensor | tf.Tensor[],
  addonFunction: keyof NativeAddon,
  tensorFlowHasIt = true,
): Promise<void> {
  const references = [await resultsOn('cpu', compute)];
  if (tensorFlowHasIt && tensorFlowIsPrepared())
    references.push(await resultsOn('tensorflow', compute));
  await useNative();
  const actual = resultsOf(compute);
  assertRan(addonFunction);
  for (const expected of references) assertSameResults(what, actual, expected);
}

async function resultsOn(
  backend: string,
  compute: () => tf.Tensor | tf.Tensor[],
): Promise<Results> {
  if (backend === 'tensorflow') {
    await useBackend({ backend, device: 'cpu', threads: 1 });
  }
  await tf.setBackend(backend);
  return resultsOf(compute);
}

function assertSameResults(what: string, actual: Results, expected: Results): void {
  assert.equal(actual.length, expected.length, what);
  expected.forEach(({ shape, dtype, values }, index) => {
    assert.deepEqual(actual[index]!.shape, shape, what);
    assert.equal(actual[index]!.dtype, dtype, what);
    if (dtype !== 'float32') assert.deepEqual(actual[index]!.values, values, what);
    else {
      const finite = (list: number[]): number[] => list.filter((value) => Number.isFinite(value));
      const odd = (list: number[]): (number | null)[] =>
        list.map((value) => (Number.isFinite(value) ? null : value));
      assert.deepEqual(odd(actual[index]!.values), odd(values), what);
      assertClose(finite(actual[index]!.values), finite(values), what);
    }
  });
}

const product = (shape: number[]): number => shape.reduce((size, length) => size * length, 1);

function floats(draw: Draw, shape: number[], scale = 3): tf.Tensor {
  return tf.tensor(
    draw.values(product(shape)).map((value) => scale * value),
    shape,
  );
}

/** Among them many equal pairs. */
function integers(draw: Draw, shape: number[]): tf.Tensor {
  return tf.tensor(Int32Array.from(floats(draw, shape).dataSync(), Math.round), shape, 'int32');
}

function bools(draw: Draw, shape: number[]): tf.Tensor {
  return tf.tensor(
    Uint8Array.from(draw.values(product(shape)), (value) => Number(value > 0)),
    shape,
    'bool',
  );
}

const PAIRS: [number[], number[]][] = [
  [[7], [7]],
  [[], [3, 2]],
  [
    [3, 1, 5],
    [4, 1],
  ],
  [[2, 3, 4, 17], [17]],
  [
    [1, 9],
    [8, 1],
  ],
  [[33, 1], [1]],
  [
    [2, 1, 3, 1, 2],
    [1, 4, 1, 5, 2],
  ],
];

const ARITHMETIC = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  maximum: tf.maximum,
  minimum: tf.minimum,
  squaredDifference: tf.squaredDifference,
} as const;

const COMPARISONS = [
  tf.equal,
  tf.notEqual,
  tf.greater,
  tf.greaterEqual,
  tf.less,
  tf.lessEqual,
] as const;

for (const [aShape, bShape] of PAIRS) {
  const what = `${JSON.stringify(aShape)} and ${JSON.stringify(bShape)}`;

  test(`arithmetic broadcasts ${what}`, { skip }, async () => {
    for (const [name, operation] of Object.entries(ARITHMETIC)) {
      for (const make of [floats, integers]) {
        await assertAgrees(
          name,
          () => {
            const draw = new Draw(name);
            return operation(make(draw, aShape), make(draw, bShape));
          },
          'binary',
        );
      }
    }
    await assertAgrees(
      'div',
      () => tf.div(floats(new Draw('a'), aShape), tf.add(floats(new Draw('b'), bShape, 1), 2)),
      'binary',
    );
    await assertAgrees(
      'pow',
      () => tf.pow(tf.add(floats(new Draw('a'), aShape), 4), floats(new Draw('b'), bShape)),
      'binary',
    );
  });

  test(`comparisons broadcast ${what}`, { skip }, async () => {
    for (const operation of COMPARISONS) {
      for (const make of [integers, bools]) {
        await assertAgrees(
          operation.name,
          () => {
            const draw = new Draw(operation.name);
            return [
              operation(make(draw, aShape), make(draw, bShape)),
              operation(tf.cast(make(draw, aShape), 'float32'), make(draw, bShape)),
            ];
          },
          'binary',
          // TensorFlow does not order bools.
          make === integers,
        );
      }
    }
    for (const operation of [tf.logicalAnd, tf.logicalOr]) {
      await assertAgrees(
        operation.name,
        () => {
          const draw = new Draw(operation.name);
          return operation(bools(draw, aShape), bools(draw, bShape));
        },
        'binary',
      );
    }
  });
}

const UNARY: Record<string, (x: tf.Tensor) => tf.Tensor> = {
  relu: tf.relu,
  relu6: tf.relu6,
  elu: tf.elu,
  sigmoid: tf.sigmoid,
  tanh: tf.tanh,
  softplus: tf.softplus,
  square: tf.square,
  reciprocal: tf.reciprocal,
  exp: tf.exp,
  expm1: tf.expm1,
  neg: tf.neg,
  abs: tf.abs,
  sign: tf.sign,
  floor: tf.floor,
  ceil: tf.ceil,
  round: tf.round,
  sin: tf.sin,
  cos: tf.cos,
  step: (x) => tf.step(x, 0.25),
  leakyRelu: (x) => tf.leakyRelu(x, 0.1),
  clip: (x) => tf.clipByValue(x, -0.5, 0.75),
  sqrt: tf.sqrt,
  rsqrt: tf.rsqrt,
  log: tf.log,
  log1p: tf.log1p,
};

const SPECIAL = [NaN, Infinity, -Infinity, 0, -0, 0.5, -0.5, 1.5, 2.5, -1.5, 1e-30, 1e30, -1];

for (const [name, operation] of Object.entries(UNARY)) {
  test(`${name} of many values, of few and of none`, { skip }, async () => {
    for (const shape of [[1000], [3, 5], [], [0, 4]]) {
      const positive = ['sqrt', 'rsqrt', 'log', 'log1p'].includes(name);
      const compute = (): tf.Tensor => {
        const x = floats(new Draw(name), shape, 8);
        return operation(positive ? tf.add(tf.abs(x), 1e-3) : x);
      };
      await assertAgrees(`${name} of ${JSON.stringify(shape)}`, compute, 'unary');
    }
  });

  test(`${name} of NaN, infinities, zeros and halves`, { skip }, async () => {
    for (const value of SPECIAL) {
      const compute = (): tf.Tensor => operation(tf.tensor1d([value]));
      // TensorFlow's sign of NaN is NaN, tfjs's 0.
      const tensorFlowAgrees = !(operation === tf.sign && Number.isNaN(value));
      await assertAgrees(`${name} of ${value}`, compute, 'unary', tensorFlowAgrees);
    }
  });
}

for (const shape of [[4, 5, 6], [1, 7, 1], [3], [2, 3, 5, 17]]) {
  test(`reductions of ${JSON.stringify(shape)} over neighbouring axes`, { skip }, async () => {
    for (let first = 0; first < shape.length; first++) {
      for (let last = first; last < shape.length; last++) {
        const axes = shape.map((_, axis) => axis).slice(first, last + 1);
        for (const keepDims of [false, true]) {
          await assertAgrees(
            `over ${axes.join(',')}`,
            () => {
              const x = floats(new Draw('reduced'), shape);
              const n = integers(new Draw('reduced'), shape);
              return [
                tf.sum(x, axes, keepDims),
                tf.mean(x, axes, keepDims),
                tf.max(x, axes, keepDims),
                tf.min(x, axes, keepDims),
                tf.prod(x, axes, keepDims),
                tf.sum(n, axes, keepDims),
                tf.max(n, axes, keepDims),
              ];
            },
            'reduce',
          );
        }
      }
    }
  });
}

test('a reduction over axes that are apart, and over none, is tfjs’s', { skip }, async () => {
  await assertAgrees(
    'sum',
    () => {
      const x = floats(new Draw('apart'), [3, 4, 5]);
      return [tf.sum(x, [0, 2]), tf.max(x, [2, 0]), tf.sum(x, []), tf.sum(x)];
    },
    'reduce',
  );
});

test('the greatest and its index, of ties and of NaN', { skip }, async () => {
  await assertAgrees(
    'argMax',
    () => {
      const x = integers(new Draw('ties'), [4, 9, 5]);
      const y = floats(new Draw('distinct'), [4, 9, 5]);
      return [0, 1, 2, -1].flatMap((axis) => [tf.argMax(x, axis), tf.argMax(y, axis)]);
    },
    'argMax',
  );
  await assertAgrees(
    'NaN',
    () => {
      const x = tf.tensor2d([1, NaN, 3, -Infinity, -Infinity, -Infinity], [2, 3]);
      return [tf.max(x, 1), tf.min(x, 1), tf.sum(x, 1)];
    },
    'reduce',
  );
});

test('softmax and its gradient', { skip }, async () => {
  for (const shape of [
    [5, 10],
    [1, 1],
    [3, 4, 17],
    [2, 1000],
  ]) {
    await assertAgrees(
      JSON.stringify(shape),
      () => {
        const x = floats(new Draw('logits'), shape, 20);
        const dy = floats(new Draw('dy'), shape);
        const { value, grad } = tf.valueAndGrad((logits: tf.Tensor) => tf.softmax(logits))(x, dy);
        return [value, grad, tf.logSoftmax(x)];
      },
      'softmax',
    );
  }
});

test('matrix products, transposed, in batches and of vectors', { skip }, async () => {
  const shapes: [number[], number[]][] = [
    [
      [5, 7],
      [7, 3],
    ],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [1, 65],
      [65, 33],
    ],
    [
      [4, 5, 6],
      [4, 6, 3],
    ],
    [
      [1, 5, 6],
      [4, 6, 3],
    ],
    [
      [2, 3, 5, 6],
      [1, 1, 6, 2],
    ],
    [
      [3, 0],
      [0, 2],
    ],
    [
      [0, 3],
      [3, 2],
    ],
  ];
  for (const [aShape, bShape] of shapes) {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const swapped = (shape: number[], swap: boolean): number[] =>
          swap ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;
        const product = (): tf.Tensor =>
          tf.matMul(
            floats(new Draw('a'), swapped(aShape, transposeA)),
            floats(new Draw('b'), swapped(bShape, transposeB)),
            transposeA,
            transposeB,
          );
        const what = JSON.stringify([aShape, bShape, transposeA, transposeB]);
        await assertAgrees(what, product, 'matMul');
      }
    }
  }
});

test('matrix products with bias and activation', { skip }, async () => {
  for (const activation of ['linear', 'relu', 'sigmoid'] as const) {
    await assertAgrees(
      activation,
      () => {
        const a = floats(new Draw('a'), [6, 9]) as tf.Tensor2D;
        const b = floats(new Draw('b'), [9, 17]) as tf.Tensor2D;
        const bias = floats(new Draw('bias'), [17]);
        return [tf.fused.matMul({ a, b, bias, activation }), tf.matMul(a, b)];
      },
      'matMul',
    );
  }
});

test('slices, parts and their concatenation', { skip }, async () => {
  for (const make of [floats, integers, bools]) {
    await assertAgrees(
      make.name,
      () => {
        const x = make(new Draw('x'), [4, 6, 5]);
        const parts = tf.split(x, [1, 2, 3], 1);
        return [
          tf.slice(x, [1, 2, 1], [2, 3, 4]),
          tf.slice(x, [2, 0, 0], [1, 6, 5]),
          tf.slice(x, [0, 0, 4]),
          ...parts,
          tf.concat([parts[2]!, parts[0]!], 1),
          tf.concat([x, x], 0),
          tf.concat([x, x, x], -1),
          tf.stack([x, x], 3),
          ...tf.unstack(x, 2),
        ];
      },
      'copyBox',
    );
  }
});

test('a concatenation with empty tensors leaves them out', { skip }, async () => {
  await assertAgrees(
    'concat',
    () => {
      const x = floats(new Draw('x'), [2, 3]);
      return tf.relu(tf.concat([x, tf.zeros([0, 3]), x], 0));
    },
    'unary',
  );
});

test('padding and its gradient', { skip }, async () => {
  const widths: [number, number][] = [
    [1, 0],
    [0, 2],
    [3, 1],
  ];
  await assertAgrees(
    'pad',
    () => {
      const x = floats(new Draw('x'), [2, 3, 5]);
      const dy = floats(new Draw('dy'), [3, 5, 9]);
      const { value, grad } = tf.valueAndGrad((input: tf.Tensor) => tf.pad(input, widths, 7))(
        x,
        dy,
      );
      return [value, grad, tf.pad(integers(new Draw('x'), [2, 3, 5]), widths)];
    },
    'copyBox',
  );
});

test('transpositions of up to six dimensions', { skip }, async () => {
  const permutations = [
    [1, 0],
    [2, 0, 1],
    [0, 3, 1, 2],
    [3, 1, 2, 0],
    [4, 2, 0, 5, 1, 3],
  ];
  for (const permutation of permutations) {
    const shape = [3, 4, 5, 2, 3, 2].slice(0, permutation.length);
    for (const make of [floats, integers, bools]) {
      const compute = (): tf.Tensor => tf.transpose(make(new Draw('x'), shape), permutation);
      await assertAgrees(permutation.join(','), compute, 'transpose');
    }
  }
});

test('filling, zeros and ones', { skip }, async () => {
  await assertAgrees(
    'fill',
    () => [
      tf.fill([3, 4], 2.5),
      tf.fill([7], 3, 'int32'),
      tf.fill([0], 1),
      tf.zerosLike(integers(new Draw('x'), [2, 3])),
      tf.onesLike(bools(new Draw('x'), [2, 3])),
      tf.onesLike(floats(new Draw('x'), [2, 3])),
    ],
    'fill',
  );
});

test('conversion between float32, int32 and bool', { skip }, async () => {
  await assertAgrees(
    'cast',
    () => {
      const x = floats(new Draw('x'), [3, 7]);
      const n = integers(new Draw('n'), [3, 7]);
      const b = bools(new Draw('b'), [3, 7]);
      return [
        ...[n, b].map((tensor) => tf.cast(tensor, 'float32')),
        ...[x, b].map((tensor) => tf.cast(tensor, 'int32')),
        ...[x, n].map((tensor) => tf.cast(tensor, 'bool')),
        tf.add(tf.cast(n, 'float32'), x),
      ];
    },
    'cast',
  );
});

test('selection element by element', { skip }, async () => {
  await assertAgrees(
    'select',
    () => {
      const draw = new Draw('select');
      const elements = bools(draw, [4, 3]);
      const [a, b] = [floats(draw, [4, 3]), floats(draw, [4, 3])];
      return [
        tf.where(elements, a, b),
        tf.where(elements, integers(draw, [4, 3]), integers(draw, [4, 3])),
      ];
    },
    'select',
  );
});

test('sums of several tensors', { skip }, async () => {
  await assertAgrees(
    'addN',
    () => {
      const draw = new Draw('terms');
      const terms = Array.from({ length: 4 }, () => floats(draw, [3, 5]));
      return [tf.addN(terms), tf.addN(terms.slice(0, 2)), tf.addN(terms.slice(0, 1))];
    },
    'binary',
  );
});

test('convolutions of NCHW and dilated ones', { skip }, async () => {
  await assertAgrees(
    'conv2d',
    () => {
      const x = floats(new Draw('x'), [2, 3, 8, 9]) as tf.Tensor4D;
      const filter = floats(new Draw('filter'), [3, 3, 3, 4]) as tf.Tensor4D;
      const bias = floats(new Draw('bias'), [4]) as tf.Tensor1D;
      const last = tf.transpose(x, [0, 2, 3, 1]);
      return [
        tf.conv2d(x, filter, 2, 'same', 'NCHW'),
        tf.conv2d(last, filter, 1, 'same', 'NHWC', 2),
        convolve(last, filter, bias, 2, 'same', 'relu'),
      ];
    },
    'conv2d',
    // On a CPU TensorFlow convolves NHWC only.
    false,
  );
});

test('gathering along each axis, of every type', { skip }, async () => {
  for (const make of [floats, integers, bools]) {
    await assertAgrees(
      make.name,
      () => {
        const x = make(new Draw('x'), [3, 4, 5]);
        const rows = tf.tensor1d([2, 0, 2], 'int32');
        const columns = tf.tensor2d([3, 1, 0, 3], [2, 2], 'int32');
        return [
          tf.gather(x, rows, 0),
          tf.gather(x, columns, 1),
          tf.gather(x, tf.tensor1d([4], 'int32'), 2),
          tf.gather(x, tf.tensor1d([], 'int32'), 1),
        ];
      },
      'gather',
    );
  }
});

test('one-hot rows, with indices outside', { skip }, async () => {
  const indices = [0, 3, -1, 5, 2, 4];
  await assertAgrees(
    'oneHot',
    () => [
      tf.oneHot(tf.tensor1d(indices, 'int32'), 5),
      tf.oneHot(tf.tensor2d(indices, [2, 3], 'int32'), 4, 0.75, -0.5, 'float32'),
      tf.oneHot(tf.tensor1d([], 'int32'), 3),
    ],
    'oneHot',
  );
});

test('tiling of up to four dimensions, of every type', { skip }, async () => {
  for (const make of [floats, integers, bools]) {
    await assertAgrees(
      make.name,
      () => [
        tf.tile(make(new Draw('x'), [5]), [3]),
        tf.tile(make(new Draw('x'), [2, 3]), [2, 1]),
        tf.tile(make(new Draw('x'), [2, 3, 4]), [1, 3, 2]),
        tf.tile(make(new Draw('x'), [2, 1, 3, 2]), [2, 4, 1, 3]),
        tf.tile(make(new Draw('x'), [2, 3]), [0, 2]),
      ],
      'tile',
    );
  }
});

test('images larger and smaller, whatever becomes of their corners', { skip }, async () => {
  const sizes: [number, number][] = [
    [9, 7],
    [3, 11],
    [1, 1],
    [5, 4],
  ];
  for (const size of sizes) {
    await assertAgrees(
      size.join('×'),
      () => {
        const images = floats(new Draw('images'), [2, 5, 4, 3]) as tf.Tensor4D;
        return [
          tf.image.resizeBilinear(images, size),
          tf.image.resizeBilinear(images, size, true),
          tf.image.resizeBilinear(images, size, false, true),
        ];
      },
      'resizeBilinear',
    );
  }
});

test('the logarithm of softmax', { skip }, async () => {
  await useNative();
  const logits = floats(new Draw('logits'), [5, 7]);
  const actual: tf.Tensor = tf.engine().runKernel('LogSoftmax', { logits }, { axis: -1 });
  assertRan('softmax');
  const composed = tf.logSoftmax(logits);
  assertClose([...actual.dataSync()], [...composed.dataSync()], 'LogSoftmax');
});
