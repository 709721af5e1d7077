/** Kernels that multiply no matrices: pooling, normalization, the loss and the update. */
import { poolGeometry } from '../../src/backend/native/geometry.js';
import type { LrnLayer, PoolLayer } from '../../src/model/layers.js';
import type { Layer } from '../../src/model/network.js';
import { deriveKey, fillDropoutMask } from '../../src/random.js';
import { randomValues } from './device_arrays.js';
import type { DeviceArrays } from './device_arrays.js';
import type { KernelCheck } from './kernels.js';
import { geometryOf } from './product_kernels.js';
import {
  greatestAt,
  normalizationGradientAt,
  normalizedAt,
  poolGradientAt,
  Sum,
} from './references.js';

function sumOf(term: number): Sum {
  const sum = new Sum();
  sum.add(term);
  return sum;
}

const PLAIN = { isProduct: false, terms: 1 } as const;

export function poolChecks(
  layer: Layer,
  specification: PoolLayer,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const g = geometryOf(layer, specification, batch, 0);
  const geometry = poolGeometry(g);
  const { addon } = arrays;
  const x = randomValues(batch * g.inHeight * g.inWidth * g.inChannels);
  const dy = randomValues(batch * g.outHeight * g.outWidth * g.outChannels);
  const [xThere, dyThere] = [arrays.copyOf(x), arrays.copyOf(dy)];
  const pool = () => arrays.result(dy.length, (out) => addon.maxPool(xThere, out, geometry));
  return [
    {
      ...PLAIN,
      kernel: 'max pooling',
      length: dy.length,
      at: (index) => sumOf(x[greatestAt(g, x, index)]!),
      run: pool,
    },
    {
      ...PLAIN,
      kernel: "max pooling's gradient",
      length: x.length,
      at: (index) => poolGradientAt(g, dy, x, index),
      run: () => {
        const y = arrays.copyOf(pool());
        return arrays.result(x.length, (dx) =>
          addon.maxPoolGradient(dyThere, xThere, y, dx, geometry, false),
        );
      },
    },
  ];
}

/** Of values that make the sum of squares matter as much as k. */
export function normalizationChecks(
  { input }: Layer,
  { size, k, alpha, beta }: LrnLayer,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const { addon } = arrays;
  const radius = (size - 1) / 2;
  const n = { channels: input.channels, radius, bias: k, alpha, beta };
  const x = randomValues(
    batch * input.height * input.width * input.channels,
    Math.sqrt(k / (alpha * size)),
  );
  const dy = randomValues(x.length);
  const [xThere, dyThere] = [arrays.copyOf(x), arrays.copyOf(dy)];
  const numbers = [n.channels, radius, k, alpha, beta] as const;
  return [
    {
      ...PLAIN,
      kernel: 'local response normalization',
      length: x.length,
      at: (index) => normalizedAt(n, x, index),
      run: () =>
        arrays.result(x.length, (out) => addon.localResponseNormalization(xThere, out, ...numbers)),
    },
    {
      ...PLAIN,
      kernel: "local response normalization's gradient",
      length: x.length,
      at: (index) => normalizationGradientAt(n, dy, x, index),
      run: () =>
        arrays.result(x.length, (dx) =>
          addon.localResponseNormalizationGradient(dyThere, xThere, dx, ...numbers),
        ),
    },
  ];
}

/** Classes of the loss's check. */
const CLASSES = 1000;
/** Parameters of the update's check, as of a fully-connected layer. */
const PARAMETERS = 1 << 20;

/** The loss with its gradient, the update, dropout's masks and images. */
export function trainingChecks(batch: number, arrays: DeviceArrays): KernelCheck[] {
  return [...lossChecks(batch, arrays), updateCheck(arrays), maskCheck(arrays), imageCheck(arrays)];
}

function lossChecks(batch: number, arrays: DeviceArrays): KernelCheck[] {
  const { addon } = arrays;
  const logits = randomValues(batch * CLASSES, 5);
  const labels = Int32Array.from({ length: batch }, (_, image) => (image * 37) % CLASSES);
  const [logitsThere, labelsThere] = [arrays.copyOf(logits), arrays.copyOf(labels)];
  const sums = Array.from({ length: batch }, (_, image) =>
    logits
      .subarray(image * CLASSES, (image + 1) * CLASSES)
      .reduce((sum, logit) => sum + Math.exp(logit), 0),
  );
  return [
    {
      ...PLAIN,
      kernel: 'the loss',
      length: 1,
      at: () =>
        sumOf(
          sums.reduce(
            (sum, exponentials, image) =>
              sum + Math.log(exponentials) - logits[image * CLASSES + labels[image]!]!,
            0,
          ) / batch,
        ),
      run: () => {
        const gradient = arrays.empty(logits.length);
        return arrays.result(1, (loss) =>
          addon.softmaxCrossEntropy(logitsThere, labelsThere, loss, gradient, CLASSES),
        );
      },
    },
    {
      ...PLAIN,
      kernel: "the loss's gradient",
      length: logits.length,
      at: (index) => {
        const image = Math.floor(index / CLASSES);
        const probability = Math.exp(logits[index]!) / sums[image]!;
        return sumOf((probability - (labels[image] === index % CLASSES ? 1 : 0)) / batch);
      },
      run: () => {
        const loss = arrays.empty(1);
        return arrays.result(logits.length, (gradient) =>
          addon.softmaxCrossEntropy(logitsThere, labelsThere, loss, gradient, CLASSES),
        );
      },
    },
  ];
}

function updateCheck(arrays: DeviceArrays): KernelCheck {
  const [rate, momentum, decay] = [0.01, 0.9, 5e-4];
  const [w, v, g] = Array.from({ length: 3 }, () => randomValues(PARAMETERS)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return {
    ...PLAIN,
    kernel: 'the update',
    length: PARAMETERS,
    at: (index) => sumOf(w[index]! * (1 - decay * rate) + momentum * v[index]! - rate * g[index]!),
    run: () => {
      const [velocity, gradient, check] = [v, g, new Float32Array(1)].map((one) =>
        arrays.copyOf(one),
      ) as [object, object, object];
      const weight = arrays.copyOf(w);
      arrays.addon.momentumUpdate(weight, velocity, gradient, check, rate, momentum, decay);
      return weight.read() as Float32Array;
    },
  };
}

function maskCheck(arrays: DeviceArrays): KernelCheck {
  const [rate, key] = [0.5, deriveKey(1, 'mask')];
  const mask = new Float32Array(PARAMETERS);
  fillDropoutMask(key, rate, mask);
  return {
    ...PLAIN,
    kernel: "dropout's mask",
    length: PARAMETERS,
    at: (index) => sumOf(mask[index]!),
    run: () => arrays.result(PARAMETERS, (out) => arrays.addon.dropoutMask(...key, rate, out)),
  };
}

/** Channels of an image. */
const CHANNELS = 3;

function imageCheck(arrays: DeviceArrays): KernelCheck {
  const table = randomValues(256 * CHANNELS);
  const bytes = Uint8Array.from(randomValues(PARAMETERS * CHANNELS, 128), (value) => value + 128);
  const [tableThere, bytesThere] = [arrays.copyOf(table), arrays.copyOf(bytes)];
  return {
    ...PLAIN,
    kernel: 'images from bytes',
    length: bytes.length,
    at: (index) => sumOf(table[bytes[index]! * CHANNELS + (index % CHANNELS)]!),
    run: () =>
      arrays.result(bytes.length, (out) =>
        arrays.addon.imagesFromBytes(bytesThere, tableThere, out),
      ),
  };
}
