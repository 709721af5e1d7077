import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import sharp from 'sharp';
import { importModel, loadRun, predict } from 'twotower';
import { loadConfiguration } from '../../src/configuration.js';
import { readStatistics } from '../../src/data/statistics.js';
import { buildNetwork, elements } from '../../src/model/network.js';
import { fillUniform } from '../../src/random.js';
import { writeSafetensors } from '../../src/runs/safetensors.js';
import type { StoredTensor, TensorMap } from '../../src/runs/safetensors.js';
import { newFolder, succeeds, TINY, twotower } from '../commands/command_line.js';
import { writeCaffeModel, writeMeanFile } from './caffe_messages.js';
import { logitsOfRun } from './logits_of_run.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const { network, data } = loadConfiguration({ file: TINY });
const { parameters } = buildNetwork(network, 2, data.classes);
const key = Math.trunc(Math.random() * 2 ** 31);

function fresh(shape: number[], index: number, low = -0.3, high = 0.3): StoredTensor {
  const values = new Float32Array(elements(shape));
  fillUniform([key, index], 0, low, high, values);
  return { shape, data: values };
}

/** What the tiny network of two towers holds, of fresh numbers. */
const tensors: TensorMap = new Map(
  parameters.map(({ name, shape }, index) => [name, fresh(shape, index)]),
);

/** `[out, 3, h, w]` with blue first, written down by hand: other code than the one under test. */
function blueFirst({ shape, data: values }: StoredTensor): StoredTensor {
  const area = shape[2]! * shape[3]!;
  const at = (index: number): number => {
    const [out, channel] = [Math.floor(index / area / 3), Math.floor(index / area) % 3];
    return values[(out * 3 + 2 - channel) * area + (index % area)]!;
  };
  return { shape, data: values.map((_, index) => at(index)) };
}

const caffe: TensorMap = new Map(tensors).set(
  'conv1.weight',
  blueFirst(tensors.get('conv1.weight')!),
);
const values = { config: TINY, mean: '104,117,123' };

suite('a .caffemodel', () => {
  for (const version of ['V1', 'current'] as const) {
    test(`in the ${version} format is a run of two towers, red first`, async () => {
      const file = writeCaffeModel(at(`${version}.caffemodel`), caffe, version);
      const run = await importModel(file, { ...values, out: at(version) });
      assert.equal(run.towers, 2);
      const { configuration, loadCheckpoint } = loadRun(run.path);
      assert.deepEqual(configuration.data.mean, [123 / 255, 117 / 255, 104 / 255]);
      const { model } = loadCheckpoint();
      for (const [name, { shape, data: expected }] of tensors) {
        assert.deepEqual(model.get(name)!.shape, shape);
        assert.deepEqual([...model.get(name)!.data], [...expected], name);
      }
    });
  }

  test('with a mean image predicts as one with each pixel’s mean taken off by hand', async () => {
    const [height, width] = [32, 32];
    const planes = fresh([3, height, width], 99, 0, 255).data;
    const mean = writeMeanFile(at('mean.binaryproto'), [3, height, width], planes);
    const file = writeCaffeModel(at('mean.caffemodel'), caffe, 'V1');
    const settings = ['data.std=[1,1,1]'];
    const { path } = await importModel(file, { config: TINY, mean, settings, out: at('mean') });
    const { meanImage } = readStatistics(join(path, 'statistics.msgpack'));
    assert.equal(meanImage[(5 * width + 7) * 3], planes[(2 * height + 5) * width + 7]);
    assert.equal(meanImage[(5 * width + 7) * 3 + 2], planes[5 * width + 7]);

    // An image that is the mean but for rounding gives nearly the logits of an image of zeros.
    const image = at('mean.png');
    const raw = { width, height, channels: 3 } as const;
    await sharp(Uint8Array.from(meanImage, Math.round), { raw }).png().toFile(image);
    const zeros = await importModel(file, {
      config: TINY,
      mean: '0,0,0',
      settings,
      out: at('zeros'),
    });
    const black = at('black.png');
    await sharp(new Uint8Array(height * width * 3), { raw })
      .png()
      .toFile(black);
    const [[ofMean], [ofBlack]] = await Promise.all([
      logitsOfRun(path, [image]),
      logitsOfRun(zeros.path, [black]),
    ]);
    // Half a step of 1/255 in 75 inputs of weights up to 0.3 stays below 0.05 after conv1.
    ofMean!.forEach((logit, label) => assert.ok(Math.abs(logit - ofBlack![label]!) < 0.02));
    const [ofOther] = await logitsOfRun(path, [black]);
    assert.ok(ofOther!.some((logit, label) => Math.abs(logit - ofBlack![label]!) > 0.02));
  });

  test('with a list of names predicts by these names in one command', async () => {
    writeFileSync(
      at('names.txt'),
      ['n02012849 crane', 'crane', 'crane', ...'defghij'].join('\n') + '\n',
    );
    const file = writeCaffeModel(at('named.caffemodel'), caffe, 'current');
    const line = ['import', file, '--config', TINY, '--mean', '104,117,123', '--out', at('named')];
    await succeeds([...line, '--classes', at('names.txt')]);
    const image = at('photograph.jpg');
    const create = { width: 60, height: 40, channels: 3, background: 'teal' } as const;
    await sharp({ create }).jpeg().toFile(image);
    const [prediction] = await predict(at('named'), [image], { cpu: 1 });
    const found = new Map(prediction!.top.map(({ class: name, label }) => [label, name]));
    const names = ['n02012849 crane', 'crane', 'crane (2)', ...'defghij'];
    assert.equal(found.size, 5);
    for (const [label, name] of found) assert.equal(name, names[label]);
  });
});

suite('a .caffemodel is refused', () => {
  const refused = async (file: string, options: object, message: RegExp): Promise<void> => {
    const out = at('refused');
    await assert.rejects(importModel(file, { ...values, ...options, out }), {
      name: 'UserError',
      message,
    });
    assert.ok(!existsSync(out), 'a run folder was left');
  };

  test('without a mean that its preset subtracts', () =>
    refused(
      writeCaffeModel(at('bare.caffemodel'), caffe, 'V1'),
      { mean: undefined, settings: ['data.mean=image'] },
      /tiny subtracts the mean .*give --mean/,
    ));

  test('in the oldest format, with the program that converts it', () =>
    refused(writeCaffeModel(at('v0.caffemodel'), caffe, 'V0'), {}, /V0.*upgrade_net_proto_binary/));

  test('with a blob shorter than its shape says', () => {
    const cut = new Map(caffe).set('fc1.bias', { shape: [32], data: new Float32Array(31).fill(1) });
    const file = writeCaffeModel(at('cut.caffemodel'), cut, 'current');
    return refused(file, {}, /fc1\.bias \[32\] should have 128 bytes .* has 124/);
  });

  test('if it is another file, or only text', async () => {
    writeFileSync(at('text.caffemodel'), 'layer { name: "conv1" }');
    await refused(at('text.caffemodel'), {}, /text\.caffemodel/);
    await refused(at('missing.caffemodel'), {}, /cannot read .*missing\.caffemodel/);
  });

  test('with a mean image of another size or of another number of channels', async () => {
    const file = writeCaffeModel(at('sizes.caffemodel'), caffe, 'V1');
    const large = writeMeanFile(at('large.binaryproto'), [3, 8, 8], new Float32Array(192).fill(9));
    await refused(file, { mean: large }, /mean image is 8×8 where 32×32 is needed/);
    const grey = writeMeanFile(at('grey.binaryproto'), [1, 32, 32], new Float32Array(1024).fill(9));
    await refused(file, { mean: grey }, /a mean image has 3 channels/);
  });

  test('with mean values that are no three, and with names that are too few', async () => {
    const file = writeCaffeModel(at('few.caffemodel'), caffe, 'V1');
    await refused(file, { mean: '104,117' }, /--mean 104,117: give a file, or three numbers/);
    writeFileSync(at('few.txt'), 'one\ntwo\n');
    await refused(file, { classes: at('few.txt') }, /few\.txt has 2 names, and the network 10/);
  });

  test('with the differences as a table, if it is of another network', async () => {
    const others = new Map(caffe).set('fc9.weight', fresh([4, 4], 5));
    const file = writeCaffeModel(at('other.caffemodel'), others, 'V1');
    const line = ['import', file, '--config', TINY, '--mean', '104,117,123', '--out', at('other')];
    const { code, stderr } = await twotower(line, { environment: { COLUMNS: '90' } });
    assert.equal(code, 1);
    assert.match(stderr, /fc9\.weight +F32 \[4, 4\] +not in it/);
  });
});

suite('a state_dict of torchvision’s alexnet', () => {
  const narrow = loadConfiguration({ preset: 'torchvision-alexnet' });
  const layers = narrow.network.layers.map((layer) => {
    if (layer.type === 'conv') return { ...layer, kernels: layer.kernels / 32 };
    return layer.type === 'fc' && layer.units !== 'classes' ? { ...layer, units: 8 } : layer;
  });
  const overrides = { network: { ...narrow.network, layers }, data: { classes: 10 } };
  const names = [0, 3, 6, 8, 10].map((index) => `features.${index}`);
  const modules = [...names, ...[1, 4, 6].map((index) => `classifier.${index}`)];

  test('is imported under torchvision’s own names', async () => {
    const wanted = buildNetwork(overrides.network, 1, 10).parameters;
    const own: TensorMap = new Map(
      wanted.map(({ shape }, index) => [
        `${modules[Math.floor(index / 2)]}.${index % 2 === 0 ? 'weight' : 'bias'}`,
        fresh(shape, index),
      ]),
    );
    writeSafetensors(at('vision.safetensors'), own, { format: 'pt' });
    const { path, towers } = await importModel(at('vision.safetensors'), {
      preset: 'torchvision-alexnet',
      ...{ overrides, out: at('vision') },
    });
    assert.equal(towers, 1);
    const { model } = loadRun(path).loadCheckpoint();
    assert.deepEqual(
      [...model.keys()],
      wanted.map(({ name }) => name),
    );
    assert.deepEqual(
      [...model.values()].map(({ data: found }) => [...found]),
      [...own.values()].map(({ data: found }) => [...found]),
    );
  });

  test('is refused with a mean file, which is for Caffe’s', async () => {
    const options = { preset: 'torchvision-alexnet', mean: 'x.binaryproto' };
    await assert.rejects(importModel('x.safetensors', options), /--mean goes with a \.caffemodel/);
  });
});
