import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Configuration, loadConfiguration, presetNames } from '../src/configuration.js';
import { UserError } from '../src/errors.js';
import { buildNetwork } from '../src/model/network.js';

const folder = mkdtempSync(join(tmpdir(), 'twotower-configuration-'));
after(() => rmSync(folder, { recursive: true }));

let written = 0;
function fileOf(content: string): string {
  const file = join(folder, `${written++}.json`);
  writeFileSync(file, content);
  return file;
}

function refuses(load: () => unknown, ...parts: string[]): void {
  assert.throws(load, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    for (const part of parts) {
      assert.ok(error.message.includes(part), `"${part}" is not in: ${error.message}`);
    }
    return true;
  });
}

/** A preset's own JSON text with one replacement, which must be there to replace. */
function altered(from: string, to: string): string {
  const text = JSON.stringify(loadConfiguration({ preset: 'demo' }));
  assert.ok(text.includes(from), from);
  return fileOf(text.replace(from, to));
}

describe('presets', () => {
  test('are those that the documents promise', () => {
    assert.deepEqual(presetNames(), [
      'alexnet-2012',
      'alexnet-2012-continued',
      'alexnet-half',
      'alexnet-no-communication',
      'alexnet-no-lrn',
      'alexnet-nonoverlapping-pool',
      'alexnet-paper',
      'caffe-alexnet',
      'caffe-caffenet',
      'cifar10-11pct',
      'cifar10-11pct-fast',
      'cifar10-13pct',
      'cifar10-13pct-lrn',
      'cifar10-quick',
      'cifar10-seed',
      'demo',
      'torchvision-alexnet',
    ]);
  });

  for (const preset of presetNames()) {
    test(`${preset} loads under its own name and says where it comes from`, () => {
      const { name, comment } = loadConfiguration({ preset });
      assert.equal(name, preset);
      assert.match(comment, /Differs from/);
    });

    for (const towers of [1, 2]) {
      test(`${preset} builds with ${towers} towers`, () => {
        const { network, data } = loadConfiguration({ preset });
        assert.equal(buildNetwork(network, towers, data.classes).towers, towers);
      });
    }

    test(`${preset} resolved is a configuration file that resolves to itself`, () => {
      const resolved = loadConfiguration({ preset, settings: ['training.seed=7'] });
      const file = fileOf(JSON.stringify(resolved));
      assert.deepEqual(loadConfiguration({ file }), resolved);
    });
  }

  test('alexnet-paper states the recipe of the paper’s section 5', () => {
    const { network, training } = loadConfiguration({ preset: 'alexnet-paper' });
    const biases = buildNetwork(network, 2, 1000).parameters.filter(
      ({ name, initialization }) => name.endsWith('.bias') && initialization === 1,
    );
    assert.deepEqual(
      biases.map(({ layer }) => layer),
      ['conv2', 'conv4', 'conv5', 'fc1', 'fc2'],
    );
    assert.equal(training.batch, 128);
    assert.equal(training.learningRate, 0.01);
    assert.equal(training.momentum, 0.9);
    assert.equal(training.weightDecay, 0.0005);
  });

  test('alexnet-2012 states the recipe of the source’s layers-145', () => {
    const { network, training, data, test } = loadConfiguration({ preset: 'alexnet-2012' });
    const untilConv3 = network.layers.slice(0, 9).map(({ type }) => type);
    const [conv1, conv2] = [
      ['conv', 'lrn', 'maxPool', 'relu'],
      ['conv', 'relu', 'lrn', 'rnorm', 'maxPool'],
    ] as const;
    assert.deepEqual(untilConv3, [...conv1, ...conv2]);
    assert.deepEqual(
      network.layers.flatMap((layer) => ('weight' in layer ? [layer.weight.initialization] : [])),
      [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01].map((normal) => ({ normal })),
    );
    assert.deepEqual(
      network.layers.flatMap((layer) => ('bias' in layer ? [layer.bias] : [])),
      [0, 1, 0, 1, 1, 1, 1, 0].map((initialization) => ({
        ...{ initialization, learningRate: 2, followsSchedule: false, weightDecay: 0 },
      })),
    );
    assert.deepEqual(network.layers[7], {
      ...{ type: 'rnorm', size: 5, k: 1, alpha: 0.001 / 25, beta: 0.75 },
    });
    assert.deepEqual(training.schedule, { type: 'steps', at: [25, 51, 79], factor: 0.1 });
    assert.deepEqual(training.events, [
      { epoch: 67, layer: 'conv1', weight: 0.1 },
      { epoch: 72, layer: 'conv1', weight: 0, bias: 0 },
    ]);
    assert.deepEqual([training.epochs, data.colour?.until, test.crops], [91, 67, 10]);
  });

  test('alexnet-no-communication has the source’s layers-150: all but fc3 read their own tower', () => {
    const { network } = loadConfiguration({ preset: 'alexnet-no-communication' });
    const divided = network.layers.flatMap((layer) => {
      if (!('weight' in layer)) return [];
      return [[layer.name, layer.reads, layer.type === 'fc' ? layer.units : layer.kernels]];
    });
    assert.deepEqual(divided, [
      ['conv1', 'all', 96],
      ['conv2', 'own', 320],
      ['conv3', 'own', 384],
      ['conv4', 'own', 384],
      ['conv5', 'own', 256],
      ['fc1', 'own', 8192],
      ['fc2', 'own', 4096],
      ['fc3', 'all', 'classes'],
    ]);
  });

  test('alexnet-half has half of the kernels up to conv4, in one tower', () => {
    const { network, towers } = loadConfiguration({ preset: 'alexnet-half' });
    const kernels = network.layers.flatMap((layer) =>
      layer.type === 'conv' ? [layer.kernels] : layer.type === 'fc' ? [layer.units] : [],
    );
    assert.deepEqual([towers, ...kernels], [1, 48, 128, 192, 192, 256, 4096, 4096, 'classes']);
  });

  test('cifar10-seed states the seed’s order of layers', () => {
    const { network, towers } = loadConfiguration({ preset: 'cifar10-seed' });
    assert.equal(towers, 1);
    assert.deepEqual(
      network.layers.map((layer) => ('name' in layer ? layer.name : layer.type)).join(' '),
      'conv1 relu maxPool lrn conv2 relu maxPool lrn conv3 relu conv4 relu conv5 relu maxPool ' +
        'dropout1 fc1 relu dropout2 fc2 relu fc3',
    );
  });

  test('cifar10-13pct-lrn has two layers of LRN more than cifar10-13pct, and nothing else', () => {
    const withLrn = loadConfiguration({ preset: 'cifar10-13pct-lrn' });
    const without = loadConfiguration({ preset: 'cifar10-13pct' });
    const layers = withLrn.network.layers.filter(({ type }) => type !== 'lrn');
    assert.equal(withLrn.network.layers.length - layers.length, 2);
    const { name, comment } = without;
    const network = { ...withLrn.network, layers };
    assert.deepEqual({ ...withLrn, name, comment, network }, without);
  });

  test('an unknown one is refused with the list of those there are', () => {
    refuses(
      () => loadConfiguration({ preset: '../package' }),
      '"../package"',
      'alexnet-2012, alexnet-2012-continued, alexnet-half, alexnet-no-communication, alexnet-no-lrn, alexnet-nonoverlapping-pool, alexnet-paper, caffe-alexnet, caffe-caffenet, cifar10-11pct',
    );
  });

  test('the schema is not one of them', () => {
    refuses(() => loadConfiguration({ preset: 'schema' }), '"schema"');
  });
});

describe('a request', () => {
  test('without preset and file is refused with the list of presets', () => {
    refuses(() => loadConfiguration({}), '--preset', '--config', 'demo');
  });

  test('with both is refused', () => {
    refuses(() => loadConfiguration({ preset: 'demo', file: 'x.json' }), '--preset', '--config');
  });
});

describe('a file', () => {
  test('that is not there is named', () => {
    const file = join(folder, 'absent.json');
    refuses(() => loadConfiguration({ file }), file, 'no such file');
  });

  test('that is not JSON is named', () => {
    const file = fileOf('{\n"name": \n}');
    refuses(() => loadConfiguration({ file }), file, 'not valid JSON');
  });

  test('that is no object is refused', () => {
    const file = fileOf('[]');
    refuses(() => loadConfiguration({ file }), file, 'must be object');
  });

  const wrong: [string, string, string, string[]][] = [
    ['a missing field', '"seed":1', '"sed":1', ['training.seed is missing']],
    ['an unknown field', '"seed":1', '"seed":1,"sed":1', ['training.sed', 'seed', 'momentum']],
    ['a wrong type', '"batch":64', '"batch":"64"', ['training.batch must be integer', '"64"']],
    ['a number out of range', '"batch":64', '"batch":0', ['training.batch must be >= 1', 'is 0']],
    ['a word not allowed', '"source":"generated"', '"source":"mnist"', ['data.source', 'cifar10']],
    [
      'an unknown type of layer',
      '"type":"relu"',
      '"type":"gelu"',
      ['network.layers.1.type', 'lrn'],
    ],
    ['a layer without type', '{"type":"relu"}', '{}', ['network.layers.1.type', 'missing']],
    [
      'an event that changes nothing',
      '"seed":1',
      '"seed":1,"events":[{"epoch":3,"layer":"conv1"}]',
      ['training.events.0 must be an event with the rate of a weight'],
    ],
    ['an unknown schedule', '"type":"steps"', '"type":"cosine"', ['training.schedule.type']],
    [
      'a field of another layer',
      '{"type":"relu"',
      '{"type":"relu","rate":1',
      ['network.layers.1.rate is not a field'],
    ],
    [
      'an unknown initialization',
      '"initialization":{',
      '"initialization":{"uniform":1,',
      ['network.layers.0.weight.initialization', 'a number, {"normal": deviation}', '"uniform"'],
    ],
    ['an even LRN window', '"size":5,"k"', '"size":4,"k"', ['network.layers.2.size', 'odd']],
    ['a dropout rate of 1', '"rate":0.5', '"rate":1', ['rate must be < 1']],
    [
      'a layer name with a dot',
      '"name":"conv2"',
      '"name":"a.b"',
      ['network.layers.4.name', '"a.b"'],
    ],
    ['units that are neither', '"units":128', '"units":"all"', ['units', '"classes"']],
    ['an image that is not RGB', '"channels":3', '"channels":1', ['network.input.channels', '3']],
    ['a __proto__ field', '"seed":1', '"seed":1,"__proto__":{"a":1}', ['training.__proto__']],
  ];
  for (const [what, from, to, parts] of wrong) {
    test(`with ${what} is refused by file and field`, () => {
      const file = altered(from, to);
      refuses(() => loadConfiguration({ file }), file, ...parts);
    });
  }
});

describe('overrides', () => {
  test('replace fields and leave their neighbours', () => {
    const before = loadConfiguration({ preset: 'demo' });
    const resolved = loadConfiguration({
      preset: 'demo',
      overrides: { towers: 1, training: { batch: 3, steps: 9, epochs: undefined } },
    });
    assert.deepEqual(resolved, {
      ...before,
      towers: 1,
      training: { ...before.training, batch: 3, steps: 9 },
    });
  });

  test('replace arrays whole', () => {
    const { data } = loadConfiguration({
      preset: 'demo',
      overrides: { data: { mean: [0.1, 0.2, 0.3] } },
    });
    assert.deepEqual(data.mean, [0.1, 0.2, 0.3]);
  });

  test('that the schema does not allow are refused', () => {
    refuses(
      () => loadConfiguration({ preset: 'demo', overrides: { training: { batch: 1.5 } } }),
      'training.batch must be integer',
    );
  });

  test('cannot reach a prototype', () => {
    const overrides = JSON.parse('{"training":{"__proto__":{"polluted":1}}}') as object;
    refuses(() => loadConfiguration({ preset: 'demo', overrides }), 'training.__proto__');
    assert.equal('polluted' in {}, false);
  });
});

describe('settings', () => {
  const set = (...settings: string[]): Configuration =>
    loadConfiguration({ preset: 'demo', settings });

  test('take numbers, null, arrays and objects as JSON', () => {
    const { training, data } = set(
      'training.learningRate=1e-3',
      'training.steps=null',
      'data.std=[1,2,3]',
      'training.schedule={"type":"steps","at":[2,4],"factor":0.1}',
    );
    assert.equal(training.learningRate, 0.001);
    assert.equal(training.steps, null);
    assert.deepEqual(data.std, [1, 2, 3]);
    assert.deepEqual(training.schedule, { type: 'steps', at: [2, 4], factor: 0.1 });
  });

  test('take what is not JSON as text, which may hold an equals sign', () => {
    assert.equal(set('data.directory=/a=b').data.directory, '/a=b');
  });

  test('reach a layer by its position', () => {
    const layer = set('network.layers.4.kernels=16').network.layers[4];
    assert.equal(layer?.type === 'conv' && layer.kernels, 16);
  });

  test('may give an optional field that the preset leaves out', () => {
    const layer = set('network.layers.0.bias.learningRate=2').network.layers[0];
    assert.equal(layer?.type === 'conv' && layer.bias.learningRate, 2);
  });

  test('apply in order', () => {
    assert.equal(set('training.batch=3', 'training.batch=5').training.batch, 5);
  });

  test('apply after the overrides', () => {
    const { training } = loadConfiguration({
      preset: 'demo',
      overrides: { training: { batch: 3 } },
      settings: ['training.batch=5'],
    });
    assert.equal(training.batch, 5);
  });

  const wrong: [string, string[]][] = [
    ['training.bacth=3', ['training.bacth is not a field', 'batch']],
    ['trainin.batch=3', ['"trainin"', 'training']],
    ['network.layers.99.size=3', ['"99"', '0 to 14']],
    ['network.layers.length=1', ['"length"', '0 to 14']],
    ['name.first=1', ['"first"']],
    ['training.batch', ['FIELD=VALUE']],
    ['=3', ['FIELD=VALUE']],
    ['training.batch=-1', ['training.batch must be >= 1']],
    ['__proto__.polluted=1', ['"__proto__"']],
    ['training.__proto__=1', ['training.__proto__ is not a field']],
    ['constructor.prototype.polluted=1', ['"constructor"']],
  ];
  for (const [setting, parts] of wrong) {
    test(`--set ${setting} is refused`, () => {
      refuses(() => set(setting), `--set ${setting}`, ...parts);
      assert.equal('polluted' in {}, false);
    });
  }
});
