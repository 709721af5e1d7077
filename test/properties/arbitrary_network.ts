/** Layer lists that the schema accepts, for property tests: every type of layer, small enough to train at once. */
import fc from 'fast-check';
import type { LayerSpecification, NetworkSpecification } from '../../src/model/layers.js';

const recipe = {
  weight: { initialization: 'kaimingUniform' },
  bias: { initialization: 0.1, learningRate: 2, weightDecay: 0 },
} as const;

const reads = fc.constantFrom('own' as const, 'all' as const);
/** Kernels over all towers, divisible by two and by four. */
const kernels = fc.constantFrom(4, 8, 12);
const normalization = {
  size: fc.constantFrom(1, 3, 5),
  k: fc.constantFrom(1, 2),
  alpha: fc.constantFrom(0, 1e-4, 0.05),
  beta: fc.constantFrom(0.5, 0.75, 1),
};

function convolution(name: string, sees: typeof reads | fc.Arbitrary<'all'>) {
  return fc.record({
    type: fc.constant('conv' as const),
    name: fc.constant(name),
    kernels,
    size: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 2 }),
    pad: fc.integer({ min: 0, max: 2 }),
    reads: sees,
    weight: fc.constant(recipe.weight),
    bias: fc.constant(recipe.bias),
  });
}

function hiddenLayer(number: number): fc.Arbitrary<LayerSpecification> {
  const weights = { weight: fc.constant(recipe.weight), bias: fc.constant(recipe.bias) };
  const name = (type: string) => fc.constant(`${type}${number}`);
  return fc.oneof(
    { weight: 3, arbitrary: convolution(`conv${number}`, reads) },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('local' as const),
        name: name('local'),
        kernels,
        size: fc.integer({ min: 1, max: 3 }),
        pad: fc.integer({ min: 0, max: 1 }),
        reads,
        ...weights,
      }),
    },
    { weight: 1, arbitrary: fc.constant({ type: 'relu' as const }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant('lrn' as const), reads, ...normalization }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('rnorm' as const),
        ...normalization,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('maxPool' as const),
        size: fc.integer({ min: 1, max: 5 }),
        stride: fc.integer({ min: 1, max: 3 }),
        ceil: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('dropout' as const),
        name: name('dropout'),
        rate: fc.constantFrom(0, 0.25, 0.5),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('fc' as const),
        name: name('fc'),
        units: kernels,
        reads,
        ...weights,
      }),
    },
  );
}

/** An image of 6 to 12 pixels a side; a convolution, up to five layers of any type, the classes. */
export const networks: fc.Arbitrary<NetworkSpecification> = fc
  .record({
    height: fc.integer({ min: 6, max: 12 }),
    width: fc.integer({ min: 6, max: 12 }),
    first: convolution('conv0', fc.constant('all' as const)),
    hidden: fc
      .integer({ min: 0, max: 5 })
      .chain((count) =>
        fc.tuple(...Array.from({ length: count }, (_, index) => hiddenLayer(index + 1))),
      ),
    lastReads: reads,
  })
  .map(({ height, width, first, hidden, lastReads }) => ({
    input: { height, width, channels: 3 },
    layers: [
      first,
      ...hidden,
      { type: 'fc', name: 'classes', units: 'classes', reads: lastReads, ...recipe },
    ],
  }));
