import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { outputsOfRank } from '../../src/model/shares.js';
import { UserError } from '../../src/errors.js';
import type {
  ConvLayer,
  FullyConnectedLayer,
  LayerSpecification,
  NetworkSpecification,
} from '../../src/model/layers.js';
import {
  buildNetwork,
  elements,
  exchangedBytes,
  gatheredBytes,
  logitsBytes,
} from '../../src/model/network.js';

const recipe = { initialization: 'kaimingUniform' } as const;

function conv(fields: Partial<ConvLayer> = {}): ConvLayer {
  return {
    type: 'conv',
    name: 'conv1',
    kernels: 8,
    size: 3,
    stride: 1,
    pad: 1,
    reads: 'all',
    weight: recipe,
    bias: recipe,
    ...fields,
  };
}

function fc(fields: Partial<FullyConnectedLayer> = {}): FullyConnectedLayer {
  return {
    type: 'fc',
    name: 'fc1',
    units: 'classes',
    reads: 'all',
    weight: recipe,
    bias: recipe,
    ...fields,
  };
}

function specification(...layers: LayerSpecification[]): NetworkSpecification {
  return { input: { height: 9, width: 7, channels: 3 }, layers };
}

const paper = loadConfiguration({ preset: 'alexnet-paper' }).network;

/** Height, width and channels of one rank's output, for the layers that change the shape. */
function shapesOf(towers: number): Record<string, number[]> {
  const network = buildNetwork(paper, towers, 1000);
  return Object.fromEntries(
    network.layers
      .filter(({ name }) => /^(conv|maxPool|fc)/.test(name))
      .map(({ name, output }) => [name, [output.height, output.width, output.channels]]),
  );
}

describe("the paper's network at 227×227", () => {
  const dense = {
    conv1: [55, 55, 96],
    maxPool1: [27, 27, 96],
    conv2: [27, 27, 256],
    maxPool2: [13, 13, 256],
    conv3: [13, 13, 384],
    conv4: [13, 13, 384],
    conv5: [13, 13, 256],
    maxPool3: [6, 6, 256],
    fc1: [1, 1, 4096],
    fc2: [1, 1, 4096],
    fc3: [1, 1, 1000],
  };
  for (const towers of [1, 2, 4]) {
    test(`gives each of ${towers} towers its share of every map`, () => {
      const expected = Object.fromEntries(
        Object.entries(dense).map(([name, [height, width, channels]]) => [
          name,
          [height, width, channels! / towers],
        ]),
      );
      assert.deepEqual(shapesOf(towers), expected);
    });
  }

  // Worked out by hand from section 3.5: Σ kernels × (channels read × size²  + 1).
  for (const [towers, parameters] of [
    [1, 62_378_344],
    [2, 60_965_224],
    [4, 60_258_664],
  ] as const) {
    test(`has ${parameters} parameters with ${towers} towers`, () => {
      const network = buildNetwork(paper, towers, 1000);
      assert.equal(network.parameterCount, parameters);
    });
  }

  test("counts multiply-accumulates as torchvision's profile of the dense net does", () => {
    // 55²·96·363 + 27²·256·2400 + 13²·(384·2304 + 384·3456 + 256·3456) + 9216·4096 + 4096² + 4096·1000
    assert.equal(buildNetwork(paper, 1, 1000).macs, 1_135_256_096);
  });

  test('halves the operations of layers that read their own tower alone', () => {
    const macs = (towers: number) =>
      buildNetwork(paper, towers, 1000).layers.map((layer) => layer.macs);
    const [dense, split] = [macs(1), macs(2)];
    const halved = paper.layers.flatMap((layer, index) =>
      dense[index] === 2 * split[index]! && dense[index] > 0 && 'name' in layer ? [layer.name] : [],
    );
    assert.deepEqual(halved, ['conv2', 'conv4', 'conv5']);
  });

  test('stores canonical weights as PyTorch shapes a grouped convolution', () => {
    const { parameters } = buildNetwork(paper, 2, 1000);
    const shapes = Object.fromEntries(parameters.map(({ name, shape }) => [name, shape]));
    assert.deepEqual(shapes, {
      'conv1.weight': [96, 3, 11, 11],
      'conv1.bias': [96],
      'conv2.weight': [256, 48, 5, 5],
      'conv2.bias': [256],
      'conv3.weight': [384, 256, 3, 3],
      'conv3.bias': [384],
      'conv4.weight': [384, 192, 3, 3],
      'conv4.bias': [384],
      'conv5.weight': [256, 192, 3, 3],
      'conv5.bias': [256],
      'fc1.weight': [4096, 9216],
      'fc1.bias': [4096],
      'fc2.weight': [4096, 4096],
      'fc2.bias': [4096],
      'fc3.weight': [1000, 4096],
      'fc3.bias': [1000],
    });
  });

  test('has the fan-in of the weights, for biases too', () => {
    const fanIn = new Map(
      buildNetwork(paper, 2, 1000).parameters.map((parameter) => [parameter.name, parameter.fanIn]),
    );
    assert.equal(fanIn.get('conv1.weight'), 363);
    assert.equal(fanIn.get('conv2.weight'), 1200);
    assert.equal(fanIn.get('conv2.bias'), 1200);
    assert.equal(fanIn.get('conv3.weight'), 2304);
    assert.equal(fanIn.get('fc1.bias'), 9216);
  });

  test('gathers before conv3 and the fully-connected layers, never the image', () => {
    const gathering = (towers: number) =>
      buildNetwork(paper, towers, 1000)
        .layers.filter((layer) => layer.gathers)
        .map((layer) => layer.name);
    assert.deepEqual(gathering(2), ['conv3', 'fc1', 'fc2', 'fc3']);
    assert.deepEqual(gathering(1), []);
  });

  test('every rank reads the other towers’ channels after a gather and its own elsewhere', () => {
    const read = new Map(
      buildNetwork(paper, 4, 1000).layers.map((layer) => [layer.name, layer.input.channels]),
    );
    assert.equal(read.get('conv1'), 3);
    assert.equal(read.get('conv2'), 24);
    assert.equal(read.get('conv3'), 256);
    assert.equal(read.get('conv4'), 96);
    assert.equal(read.get('fc1'), 256);
  });
});

describe('exchanged bytes', () => {
  test('two towers read each other’s half forward and backward, logits forward alone', () => {
    // Per image and rank: conv3 13·13·128, fc1 6·6·128, fc2 and fc3 2048, each twice; logits 500.
    const values = 2 * (2 * (21_632 + 4_608 + 2_048 + 2_048) + 500);
    assert.equal(exchangedBytes(buildNetwork(paper, 2, 1000), 1), 4 * values);
  });

  test('each of four towers reads three blocks', () => {
    // Per image and block: conv3 13·13·64, fc1 6·6·64, fc2 and fc3 1024, each twice; logits 250.
    const values = 4 * 3 * (2 * (10_816 + 2_304 + 1_024 + 1_024) + 250);
    assert.equal(exchangedBytes(buildNetwork(paper, 4, 1000), 1), 4 * values);
  });

  test('grow with the batch', () => {
    const network = buildNetwork(paper, 2, 1000);
    assert.equal(exchangedBytes(network, 128), 128 * exchangedBytes(network, 1));
  });

  test('are none with one tower', () => {
    assert.equal(exchangedBytes(buildNetwork(paper, 1, 1000), 128), 0);
  });

  test('are the sum of what each layer gathers and the logits', () => {
    const network = buildNetwork(paper, 4, 1000);
    const gathered = network.layers.map((layer) => gatheredBytes(network, layer, 3));
    const total = gathered.reduce((sum, bytes) => sum + bytes, logitsBytes(network, 3));
    assert.equal(total, exchangedBytes(network, 3));
  });
});

describe('a layer list', () => {
  test('keeps the order of LRN, pool and ReLU that it states', () => {
    const lrn = { type: 'lrn', size: 5, k: 2, alpha: 1e-4, beta: 0.75 } as const;
    const pool = { type: 'maxPool', size: 3, stride: 2 } as const;
    const network = buildNetwork(specification(conv(), lrn, pool, { type: 'relu' }, fc()), 2, 4);
    assert.deepEqual(
      network.layers.map((layer) => layer.name),
      ['conv1', 'lrn1', 'maxPool1', 'relu1', 'fc1'],
    );
  });

  test('counts positions of windows on rectangles by rounding down', () => {
    const [first, pooled] = buildNetwork(
      specification(
        conv({ size: 4, stride: 2, pad: 1 }),
        { type: 'maxPool', size: 2, stride: 2 },
        fc(),
      ),
      1,
      4,
    ).layers;
    // (9 + 2 − 4)/2 + 1 = 4.5 and (7 + 2 − 4)/2 + 1 = 3.5; then (4 − 2)/2 + 1 and (3 − 2)/2 + 1 = 1.5.
    assert.deepEqual(first!.output, { height: 4, width: 3, channels: 8 });
    assert.deepEqual(pooled!.output, { height: 2, width: 1, channels: 8 });
  });

  test('lets a fully-connected layer read its own tower alone', () => {
    const { layers, parameters } = buildNetwork(
      specification(conv(), fc({ name: 'hidden', units: 10, reads: 'own' }), fc()),
      2,
      4,
    );
    assert.equal(layers[1]!.gathers, false);
    assert.deepEqual(parameters[2]!.shape, [10, 9 * 7 * 4]);
  });

  test('gathers anew before each of two consecutive layers that read all towers', () => {
    const { layers } = buildNetwork(
      specification(conv(), conv({ name: 'conv2' }), conv({ name: 'conv3' }), fc()),
      2,
      4,
    );
    assert.deepEqual(
      layers.map((layer) => layer.gathers),
      [false, true, true, true],
    );
  });

  test('passes on multipliers, 1 where none are given, and initialization', () => {
    const bias = { initialization: 1, learningRate: 2, weightDecay: 0 };
    const [weight, biases] = buildNetwork(
      specification(conv({ weight: { initialization: { normal: 0.01 } }, bias }), fc()),
      1,
      4,
    ).parameters;
    assert.deepEqual(weight, {
      name: 'conv1.weight',
      layer: 'conv1',
      shape: [8, 3, 3, 3],
      fanIn: 27,
      initialization: { normal: 0.01 },
      learningRateMultiplier: 1,
      followsSchedule: true,
      weightDecayMultiplier: 1,
      hosts: 1,
    });
    assert.equal(biases!.initialization, 1);
    assert.equal(biases!.learningRateMultiplier, 2);
    assert.equal(biases!.weightDecayMultiplier, 0);
  });

  test('names the parameters that each layer holds', () => {
    const { layers } = buildNetwork(specification(conv(), { type: 'relu' }, fc()), 1, 4);
    assert.deepEqual(
      layers.map((layer) => layer.parameters),
      [['conv1.weight', 'conv1.bias'], [], ['fc1.weight', 'fc1.bias']],
    );
  });

  test('counts elements of a shape', () => {
    assert.equal(elements([4, 3, 5]), 60);
  });
});

describe('classes that the towers do not divide', () => {
  test('are held unevenly, each by one rank, in order', () => {
    for (const [classes, towers] of [
      [5, 2],
      [101, 4],
      [10, 4],
      [7, 7],
    ] as const) {
      const ranges = Array.from({ length: towers }, (_, rank) =>
        outputsOfRank(classes, rank, towers),
      );
      const held = ranges.flatMap(({ first, count }) =>
        Array.from({ length: count }, (_, at) => first + at),
      );
      assert.deepEqual(held, [...Array(classes).keys()]);
      const counts = ranges.map(({ count }) => count);
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join(' '));
    }
  });

  test('leave the other layers as they are, and the shapes and costs those of all classes', () => {
    const layers = specification(conv(), fc());
    const [even, uneven] = [buildNetwork(layers, 2, 4), buildNetwork(layers, 2, 5)];
    assert.deepEqual(uneven.layers[0], even.layers[0]);
    const weight = (network: typeof even) =>
      network.parameters.find(({ name }) => name === 'fc1.weight')!;
    const [, inputs] = weight(even).shape as [number, number];
    assert.deepEqual(weight(uneven).shape, [5, inputs]);
    assert.equal(uneven.macs - even.macs, inputs);
  });
});

describe('what is refused, by the layer’s name', () => {
  const refused: [string, NetworkSpecification, number, RegExp][] = [
    [
      'kernels that the towers do not divide',
      specification(conv(), conv({ name: 'middle', kernels: 12 }), fc()),
      8,
      /^layer middle: 12 kernels cannot be divided among 8 towers; .*: 1, 2, 4$/,
    ],
    [
      'units that the towers do not divide',
      specification(conv(), fc({ name: 'hidden', units: 6 }), fc()),
      4,
      /^layer hidden: 6 units cannot be divided among 4 towers; .*: 1, 2$/,
    ],
    [
      'more towers than classes',
      specification(conv(), fc()),
      8,
      /^layer fc1: 4 classes cannot be divided among 8 towers; use at most 4$/,
    ],
    [
      'a kernel larger than its padded input',
      specification(conv({ size: 10, pad: 1 }), fc()),
      1,
      /^layer conv1: window 10×10 is larger than its input 9×7 with pad 1; /,
    ],
    [
      'a pooling window larger than its input',
      specification(conv(), { type: 'maxPool', size: 8, stride: 1 }, fc()),
      1,
      /^layer maxPool1: window 8×8 is larger than its input 9×7; /,
    ],
    [
      'a name used twice',
      specification(conv(), conv(), fc()),
      1,
      /^layer conv1: two layers have this name; /,
    ],
    [
      'a name that an unnamed layer already has',
      specification(conv({ name: 'relu1' }), { type: 'relu' }, fc()),
      1,
      /^layer relu1: two layers have this name; /,
    ],
    [
      'a first layer that reads its own tower of the image',
      specification(conv({ reads: 'own' }), fc()),
      1,
      /^layer conv1: the first layer must be a conv, local or fc with reads "all"/,
    ],
    [
      'a first layer without parameters',
      specification({ type: 'relu' }, fc()),
      1,
      /^layer relu1: the first layer must be a conv, local or fc with reads "all"/,
    ],
    [
      'a last fc with a number of units',
      specification(conv(), fc({ units: 4 })),
      1,
      /^layer fc1: the last layer must be an fc with units "classes"$/,
    ],
    [
      'anything after the classes',
      specification(fc(), { type: 'relu' }),
      1,
      /^layer relu1: the last layer must be an fc with units "classes"$/,
    ],
    ['an empty list', specification(), 1, /^network\.layers is empty; /],
  ];
  for (const [what, network, towers, message] of refused) {
    test(what, () => {
      assert.throws(
        () => buildNetwork(network, towers, 4),
        (error) => error instanceof UserError && message.test(error.message),
      );
    });
  }
});

describe('a window that reaches past the far edges', () => {
  const pool = { type: 'maxPool', size: 2, stride: 2 } as const;

  for (const [ceil, height, width] of [
    [false, 4, 3],
    [true, 5, 4],
  ] as const) {
    test(`has ${height} × ${width} places on 9 × 7 where ceil is ${ceil}`, () => {
      const { layers } = buildNetwork(specification(conv(), { ...pool, ceil }, fc()), 1, 10);
      assert.deepEqual(layers[1]!.output, { height, width, channels: 8 });
    });
  }
});

test('a last window that would begin past the far edge is left out, as in PyTorch', () => {
  const pool = { type: 'maxPool', size: 2, stride: 3, ceil: true } as const;
  const { layers } = buildNetwork(specification(conv(), pool, fc()), 1, 10);
  // On 9 × 7 they begin at 0, 3, 6; in the first direction a fourth would at 9.
  assert.deepEqual(layers[1]!.output, { height: 3, width: 3, channels: 8 });
});

test('a local layer holds kernels and biases of its own for each place', () => {
  const local = {
    type: 'local',
    name: 'local2',
    kernels: 4,
    size: 3,
    pad: 0,
    reads: 'own',
  } as const;
  const layers = [conv(), { ...local, weight: recipe, bias: recipe }, fc()];
  const network = buildNetwork(specification(...layers), 2, 10);
  assert.deepEqual(
    network.parameters.slice(2, 4).map(({ name, shape }) => [name, shape]),
    [
      ['local2.weight', [4, 7, 5, 4, 3, 3]],
      ['local2.bias', [4, 7, 5]],
    ],
  );
  assert.equal(network.layers[1]!.macs, 4 * 7 * 5 * 4 * 3 * 3);
});
