/** The first convolution with its ReLU and the pooling after it, which training computes as one kernel. */
import { convolutionGeometry, poolGeometry } from '../../src/backend/native/geometry.js';
import type { Conv2DInfo } from '../../src/backend/native/geometry.js';
import { poolOfFirst } from '../../src/model/fusion.js';
import type { ConvLayer, PoolLayer } from '../../src/model/layers.js';
import type { Layer, Network } from '../../src/model/network.js';
import { randomValues } from './device_arrays.js';
import type { DeviceArrays } from './device_arrays.js';
import type { KernelCheck } from './kernels.js';
import { geometryOf } from './product_kernels.js';
import { convolutionAt, Sum } from './references.js';

/** The position of a window in which nothing is above 0. */
const NOWHERE = 255;

/** None if the network does not begin with these three layers. */
export function pooledConvolutionChecks(
  network: Network,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const pool = poolOfFirst(network);
  if (pool === null) return [];
  const first = network.layers[0]!;
  const [conv, pooling] = [first.specification as ConvLayer, pool.specification as PoolLayer];
  return checksOf(first, conv, pool, pooling, batch, arrays);
}

function checksOf(
  first: Layer,
  conv: ConvLayer,
  next: Layer,
  pool: PoolLayer,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const { addon } = arrays;
  const g = geometryOf(first, conv, batch, conv.pad);
  const windows = geometryOf(next, pool, batch, 0);
  const sizes = [convolutionGeometry(g), poolGeometry(windows)] as const;
  const x = randomValues(batch * g.inHeight * g.inWidth * g.inChannels);
  const filter = randomValues(g.filterHeight * g.filterWidth * g.inChannels * g.outChannels);
  const bias = randomValues(g.outChannels);
  const dy = randomValues(batch * windows.outHeight * windows.outWidth * g.outChannels);
  const [xThere, filterThere, biasThere, dyThere] = [x, filter, bias, dy].map((values) =>
    arrays.copyOf(values),
  ) as [object, object, object, object];
  const positionsThere = arrays.empty(dy.length, 'bool');
  const forward: KernelCheck['run'] = (precision) =>
    arrays.result(dy.length, (out) => {
      const given = [xThere, filterThere, biasThere] as const;
      addon.conv2dMaxPool(...given, out, positionsThere, ...sizes, precision);
    });
  // The gradient is checked for these positions. Which ones are right, the values at them show.
  const pooled = forward('float32');
  const positions = positionsThere.read() as Uint8Array;
  const positionsOfGradient = arrays.copyOf(positions);
  const gradients: KernelCheck['run'][] = [filter.length, bias.length].map(
    (length, which) => (precision) => {
      const other = arrays.empty(which === 0 ? bias.length : filter.length);
      return arrays.result(length, (result) => {
        const [dFilter, dBias] = which === 0 ? [result, other] : [other, result];
        const given = [xThere, dyThere, positionsOfGradient, dFilter, dBias] as const;
        addon.conv2dMaxPoolBackpropFilter(...given, ...sizes, precision);
      });
    },
  );
  const forEach = (to: number, visit: (window: number, place: Place) => void): void => {
    for (let window = to; window < dy.length; window += g.outChannels) {
      const place = placeOf(windows, window, positions[window]!);
      if (place !== null) visit(window, place);
    }
  };
  const name = 'convolution, ReLU and pooling';
  const kinds = { isProduct: true, terms: dy.length / g.outChannels };
  return [
    {
      kernel: name,
      isProduct: true,
      terms: g.filterHeight * g.filterWidth * g.inChannels,
      length: dy.length,
      at: (index) => greatestConvolution(g, windows, [x, filter, bias], index),
      run: forward,
    },
    {
      kernel: `${name}: values at the positions`,
      isProduct: false,
      terms: g.filterHeight * g.filterWidth * g.inChannels,
      length: dy.length,
      at: (index) => {
        const place = placeOf(windows, index, positions[index]!);
        if (place === null) return new Sum();
        return convolutionAt(g, x, filter, bias, indexOf(g, place)).rectify();
      },
      run: () => pooled,
    },
    {
      ...kinds,
      kernel: `${name}: gradient by the filter`,
      length: filter.length,
      at: (index) => {
        const to = index % g.outChannels;
        const from = Math.floor(index / g.outChannels) % g.inChannels;
        const tap = Math.floor(index / (g.outChannels * g.inChannels));
        const sum = new Sum();
        forEach(to, (window, { image, y, x: column }) => {
          const inY = y * g.strideHeight + Math.floor(tap / g.filterWidth) - g.padInfo.top;
          const inX = column * g.strideWidth + (tap % g.filterWidth) - g.padInfo.left;
          if (inY < 0 || inY >= g.inHeight || inX < 0 || inX >= g.inWidth) return;
          const at = ((image * g.inHeight + inY) * g.inWidth + inX) * g.inChannels + from;
          sum.add(x[at]! * dy[window]!);
        });
        return sum;
      },
      run: gradients[0]!,
    },
    {
      ...kinds,
      isProduct: false,
      kernel: `${name}: gradient by the bias`,
      length: bias.length,
      at: (index) => {
        const sum = new Sum();
        forEach(index, (window) => sum.add(dy[window]!));
        return sum;
      },
      run: gradients[1]!,
    },
  ];
}

/** One output of the convolution. */
interface Place {
  image: number;
  y: number;
  x: number;
  channel: number;
}

/** The output of the convolution at a position of the pooling's window; null if nothing there is above 0. */
function placeOf(windows: Conv2DInfo, index: number, position: number): Place | null {
  if (position === NOWHERE) return null;
  const { outChannels, outWidth, outHeight, filterWidth } = windows;
  const pixel = Math.floor(index / outChannels);
  const row = Math.floor(pixel / outWidth);
  return {
    image: Math.floor(row / outHeight),
    y: (row % outHeight) * windows.strideHeight + Math.floor(position / filterWidth),
    x: (pixel % outWidth) * windows.strideWidth + (position % filterWidth),
    channel: index % outChannels,
  };
}

function indexOf(g: Conv2DInfo, { image, y, x, channel }: Place): number {
  return ((image * g.outHeight + y) * g.outWidth + x) * g.outChannels + channel;
}

/** The greatest output of the convolution in a window, or 0. */
function greatestConvolution(
  g: Conv2DInfo,
  windows: Conv2DInfo,
  [x, filter, bias]: [Float32Array, Float32Array, Float32Array],
  index: number,
): Sum {
  let greatest: Sum | undefined;
  for (let position = 0; position < windows.filterHeight * windows.filterWidth; position++) {
    const place = placeOf(windows, index, position)!;
    if (place.y >= g.outHeight || place.x >= g.outWidth) continue;
    const sum = convolutionAt(g, x, filter, bias, indexOf(g, place));
    if (greatest === undefined || sum.value > greatest.value) greatest = sum;
  }
  return greatest!.rectify();
}
