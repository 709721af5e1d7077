/** Convolutions and matrix products of layers, forward and all gradients. */
import type { Activation } from '../../src/backend/numerics.js';
import { convolutionGeometry } from '../../src/backend/native/geometry.js';
import type { Conv2DInfo } from '../../src/backend/native/geometry.js';
import type { ConvLayer, PoolLayer } from '../../src/model/layers.js';
import type { Layer } from '../../src/model/network.js';
import { randomValues } from './device_arrays.js';
import type { DeviceArrays } from './device_arrays.js';
import type { KernelCheck } from './kernels.js';
import {
  biasGradientAt,
  convolutionAt,
  dotProduct,
  filterGradientAt,
  inputGradientAt,
} from './references.js';
import type { Sum } from './references.js';

/** The sizes of a layer's windows. */
export function geometryOf(
  { input, output }: Layer,
  { size, stride }: ConvLayer | PoolLayer,
  batch: number,
  pad: number,
): Conv2DInfo {
  return {
    batchSize: batch,
    inHeight: input.height,
    inWidth: input.width,
    inChannels: input.channels,
    outHeight: output.height,
    outWidth: output.width,
    outChannels: output.channels,
    filterHeight: size,
    filterWidth: size,
    strideHeight: stride,
    strideWidth: stride,
    dilationHeight: 1,
    dilationWidth: 1,
    padInfo: { top: pad, left: pad },
  };
}

function activated(activation: Activation, sum: Sum): Sum {
  return activation === 'relu' ? sum.rectify() : sum;
}

/** All passes that training takes; the first layer's image needs no gradient, which is checked nevertheless. */
export function convolutionChecks(
  layer: Layer,
  specification: ConvLayer,
  activation: Activation,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const g = geometryOf(layer, specification, batch, specification.pad);
  const geometry = convolutionGeometry(g);
  const { addon } = arrays;
  const positions = batch * g.outHeight * g.outWidth;
  const taps = g.filterHeight * g.filterWidth;
  const x = randomValues(batch * g.inHeight * g.inWidth * g.inChannels);
  const filter = randomValues(taps * g.inChannels * g.outChannels);
  const bias = randomValues(g.outChannels);
  const dy = randomValues(positions * g.outChannels);
  const [xThere, filterThere, biasThere, dyThere] = [x, filter, bias, dy].map((values) =>
    arrays.copyOf(values),
  ) as [object, object, object, object];
  return [
    {
      kernel: 'convolution',
      isProduct: true,
      terms: taps * g.inChannels,
      length: dy.length,
      at: (index) => activated(activation, convolutionAt(g, x, filter, bias, index)),
      run: (precision) =>
        arrays.result(dy.length, (out) =>
          addon.conv2d(xThere, filterThere, biasThere, out, geometry, activation, precision),
        ),
    },
    {
      kernel: "a convolution's gradient by its input",
      isProduct: true,
      terms: taps * g.outChannels,
      length: x.length,
      at: (index) => inputGradientAt(g, dy, filter, index),
      run: (precision) =>
        arrays.result(x.length, (dx) =>
          addon.conv2dBackpropInput(dyThere, filterThere, dx, geometry, precision),
        ),
    },
    {
      kernel: "a convolution's gradient by its filter",
      isProduct: true,
      terms: positions,
      length: filter.length,
      at: (index) => filterGradientAt(g, x, dy, index),
      run: (precision) =>
        arrays.result(filter.length, (dFilter) =>
          addon.conv2dBackpropFilter(xThere, dyThere, dFilter, null, geometry, precision),
        ),
    },
    {
      kernel: "a convolution's gradient by its bias",
      isProduct: false,
      terms: positions,
      length: bias.length,
      at: (index) => biasGradientAt(dy, g.outChannels, index),
      run: (precision) => {
        const dFilter = arrays.empty(filter.length);
        return arrays.result(bias.length, (dBias) =>
          addon.conv2dBackpropFilter(xThere, dyThere, dFilter, dBias, geometry, precision),
        );
      },
    },
  ];
}

/** x · w + bias, and its gradients by x and w. */
export function fullyConnectedChecks(
  { input, output }: Layer,
  activation: Activation,
  batch: number,
  arrays: DeviceArrays,
): KernelCheck[] {
  const { addon } = arrays;
  const inputs = input.height * input.width * input.channels;
  const outputs = output.channels;
  const x = randomValues(batch * inputs);
  const weight = randomValues(inputs * outputs);
  const bias = randomValues(outputs);
  const dy = randomValues(batch * outputs);
  const [xThere, weightThere, biasThere, dyThere] = [x, weight, bias, dy].map((values) =>
    arrays.copyOf(values),
  ) as [object, object, object, object];
  return [
    {
      kernel: 'a fully-connected layer',
      isProduct: true,
      terms: inputs,
      length: dy.length,
      at: (index) => {
        const unit = index % outputs;
        const row = { values: x, start: ((index - unit) / outputs) * inputs, step: 1 };
        const column = { values: weight, start: unit, step: outputs };
        return activated(activation, dotProduct(row, column, inputs, bias[unit]));
      },
      run: (precision) =>
        arrays.result(dy.length, (out) => {
          const sizes = [1, 1, batch, inputs, outputs];
          const [a, b] = [xThere, weightThere];
          addon.matMul(a, b, biasThere, out, sizes, false, false, activation, precision);
        }),
    },
    {
      kernel: "a fully-connected layer's gradient by its input",
      isProduct: true,
      terms: outputs,
      length: x.length,
      at: (index) => {
        const feature = index % inputs;
        const row = { values: dy, start: ((index - feature) / inputs) * outputs, step: 1 };
        const weights = { values: weight, start: feature * outputs, step: 1 };
        return dotProduct(row, weights, outputs);
      },
      run: (precision) =>
        arrays.result(x.length, (dx) => {
          const sizes = [1, 1, batch, outputs, inputs];
          addon.matMul(dyThere, weightThere, null, dx, sizes, false, true, 'linear', precision);
        }),
    },
    {
      kernel: "a fully-connected layer's gradient by its weights",
      isProduct: true,
      terms: batch,
      length: weight.length,
      at: (index) => {
        const unit = index % outputs;
        const feature = { values: x, start: (index - unit) / outputs, step: inputs };
        return dotProduct(feature, { values: dy, start: unit, step: outputs }, batch);
      },
      run: (precision) =>
        arrays.result(weight.length, (dWeight) => {
          const sizes = [1, 1, inputs, batch, outputs];
          addon.matMul(xThere, dyThere, null, dWeight, sizes, true, false, 'linear', precision);
        }),
    },
  ];
}
