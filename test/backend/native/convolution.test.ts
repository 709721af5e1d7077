import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { CONVOLUTION_PARAMETER_GRADIENTS } from '../../../src/backend/own_kernels.js';
import { tensorFlowIsPrepared } from '../../../src/backend/device_pin.js';
import { useBackend } from '../../../src/backend/backend.js';
import { assertClose, assertRan, Draw, skip, useNative } from './native_kernels.js';
import { convolution, convolutionFilterGradient, convolutionInputGradient } from './reference.js';

type Shape4D = [number, number, number, number];

interface Case {
  xShape: Shape4D;
  filterShape: Shape4D;
  strides: [number, number];
  pad: 'valid' | 'same' | tf.backend_util.ExplicitPadding;
  dilations: number;
}

/** Odd and even sizes, unequal strides and padding, one channel and many, 1×1 filters, one image. */
function randomCases(label: string, count: number, dilations: number[] = [1]): Case[] {
  const draw = new Draw(label);
  return Array.from({ length: count }, () => {
    const dilation = draw.of(...dilations);
    const [height, width] = [draw.of(1, 2, 3, 5), draw.of(1, 2, 3, 5)];
    const inChannels = draw.of(1, 3, 8, 16, 17);
    return {
      xShape: [draw.of(1, 2, 5), draw.of(9, 11, 14), draw.of(9, 12, 17), inChannels],
      filterShape: [height, width, inChannels, draw.of(1, 5, 16, 33)],
      strides: dilation > 1 ? [1, 1] : [draw.of(1, 2, 3, 4), draw.of(1, 2, 3)],
      pad: draw.of<Case['pad']>('valid', 'same', [
        [0, 0],
        [draw.of(0, 1, 2), draw.of(0, 1, 3)],
        [draw.of(0, 2), draw.of(1, 2)],
        [0, 0],
      ]),
      dilations: dilation,
    };
  });
}

function infoOf({
  xShape,
  filterShape,
  strides,
  pad,
  dilations,
}: Case): tf.backend_util.Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(xShape, filterShape, strides, dilations, pad);
}

const product = (shape: number[]): number => shape.reduce((size, length) => size * length, 1);

test('convolutions are those of float64 loops', { skip }, async () => {
  await useNative();
  const draw = new Draw('forward');
  for (const example of randomCases('forward cases', 60, [1, 1, 2])) {
    const info = infoOf(example);
    const x = draw.values(product(example.xShape));
    const filter = draw.values(product(example.filterShape));
    const out = tf.conv2d(
      tf.tensor4d(x, example.xShape),
      tf.tensor4d(filter, example.filterShape),
      example.strides,
      example.pad,
      'NHWC',
      example.dilations,
    );
    assertClose(out.dataSync(), convolution(info, x, filter), JSON.stringify(example));
  }
  assertRan('conv2d');
});

test('the gradients of convolutions are those of float64 loops', { skip }, async () => {
  await useNative();
  const draw = new Draw('gradients');
  for (const example of randomCases('gradient cases', 60)) {
    const info = infoOf(example);
    const x = draw.values(product(example.xShape));
    const filter = draw.values(product(example.filterShape));
    const dy = draw.values(product(info.outShape));
    const { strides, pad, xShape: inputShape, filterShape } = example;
    const attributes = { strides, pad, dataFormat: 'NHWC', inputShape, filterShape };
    const what = JSON.stringify(example);
    const tensors = {
      x: tf.tensor4d(x, inputShape),
      filter: tf.tensor4d(filter, filterShape),
      dy: tf.tensor4d(dy, info.outShape),
    };
    const run = <T extends tf.Tensor | tf.Tensor[]>(kernel: string): T =>
      tf.engine().runKernel(kernel, tensors, attributes);

    const dx = run<tf.Tensor>(tf.Conv2DBackpropInput).dataSync();
    assertClose(dx, convolutionInputGradient(info, dy, filter), `dx ${what}`);
    const expected = convolutionFilterGradient(info, x, dy);
    assertClose(run<tf.Tensor>(tf.Conv2DBackpropFilter).dataSync(), expected, `dFilter ${what}`);
    const [dFilter, dBias] = run<tf.Tensor[]>(CONVOLUTION_PARAMETER_GRADIENTS);
    assertClose(dFilter!.dataSync(), expected, `dFilter with dBias ${what}`);
    const sums = new Float64Array(info.outChannels);
    dy.forEach((value, index) => (sums[index % info.outChannels]! += value));
    assertClose(dBias!.dataSync(), sums, `dBias ${what}`);
  }
  assertRan('conv2dBackpropInput');
  assertRan('conv2dBackpropFilter');
});

test('fused bias and ReLU are those of a float64 convolution', { skip }, async () => {
  await useNative();
  const draw = new Draw('fused');
  for (const example of randomCases('fused cases', 20)) {
    const x = draw.values(product(example.xShape));
    const filter = draw.values(product(example.filterShape));
    const channels = example.filterShape[3];
    const bias = draw.values(channels);
    for (const activation of ['linear', 'relu'] as const) {
      const out = tf.fused.conv2d({
        x: tf.tensor4d(x, example.xShape),
        filter: tf.tensor4d(filter, example.filterShape),
        strides: example.strides,
        pad: example.pad,
        bias: tf.tensor1d(bias),
        activation,
      });
      const expected = convolution(infoOf(example), x, filter).map((value, index) => {
        const sum = value + bias[index % channels]!;
        return activation === 'relu' ? Math.max(0, sum) : sum;
      });
      assertClose(out.dataSync(), expected, `${activation} ${JSON.stringify(example)}`);
    }
  }
  assertRan('conv2d');
});

test('an empty batch gives an empty result and gradients of zero', { skip }, async () => {
  await useNative();
  const filter = tf.ones<tf.Rank.R4>([3, 3, 2, 4]);
  const { value, grad } = (() => {
    const x = tf.zeros<tf.Rank.R4>([0, 5, 5, 2]);
    const gradients = tf.grads((input, weights) =>
      tf.conv2d(input as tf.Tensor4D, weights as tf.Tensor4D, 1, 'valid'),
    )([x, filter], tf.zeros([0, 3, 3, 4]));
    return { value: gradients[0]!, grad: gradients[1]! };
  })();
  assertClose(value.dataSync(), [], 'dx');
  assertClose(grad.dataSync(), new Array<number>(72).fill(0), 'dFilter');
});

test(
  'convolutions and their gradients agree with TensorFlow',
  { skip: skip || (tensorFlowIsPrepared() ? false : 'TensorFlow is not prepared here') },
  async () => {
    const cases = randomCases('TensorFlow cases', 20).filter(
      // TensorFlow 2.21 multiplies no more than the middle of a filter of one channel each way.
      ({ pad, filterShape }) => typeof pad === 'string' && filterShape[2] * filterShape[3] > 1,
    );
    const results = (): Float32Array[][] => {
      const draw = new Draw('TensorFlow');
      return cases.map((example) => {
        const x = tf.tensor4d(draw.values(product(example.xShape)), example.xShape);
        const filter = tf.tensor4d(draw.values(product(example.filterShape)), example.filterShape);
        const { outShape } = infoOf(example);
        const dy = tf.tensor4d(draw.values(product(outShape)), outShape);
        const convolve = (...[input, weights]: tf.Tensor[]): tf.Tensor =>
          tf.conv2d(input as tf.Tensor4D, weights as tf.Tensor4D, example.strides, example.pad);
        const { value, grads } = tf.valueAndGrads(convolve)([x, filter], dy);
        return [value, ...grads].map((tensor) => tensor.dataSync() as Float32Array);
      });
    };
    await useBackend({ backend: 'tensorflow', device: 'cpu', threads: 1 });
    const expected = results();
    await useNative();
    results().forEach((tensors, index) =>
      tensors.forEach((values, which) =>
        assertClose(values, expected[index]![which]!, `${which} ${JSON.stringify(cases[index])}`),
      ),
    );
  },
);
