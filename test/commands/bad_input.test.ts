import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommandLine } from '../../src/commands/command_line.js';
import { prepareDataset } from '../../src/data/prepare.js';
import { UserError, messageOf } from '../../src/errors.js';
import { writeImageFolder } from '../data/image_folders.js';
import { newFolder, succeeds, TINY, twotower, writeTinyImages } from './command_line.js';

const folder = newFolder();
// Each train listens for signals as long as its process lasts, which is this one.
process.setMaxListeners(0);
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const out = join(folder, 'out');

/** A copy of the configuration or of the data with one thing wrong. */
function brokenConfiguration(name: string, change: (text: string) => string): string {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, change(readFileSync(TINY, 'utf8')));
  return path;
}

function brokenData(name: string, from: string, change: (folder: string) => void): string {
  const path = join(folder, name);
  cpSync(from, path, { recursive: true });
  change(path);
  return path;
}

interface BadInput {
  name: string;
  command: string[];
  message: RegExp;
}

const train = (...more: string[]): string[] => ['train', '--config', TINY, '--data', data, ...more];
const withData = (name: string, from: string, change: (folder: string) => void): string[] => {
  return ['train', '--config', TINY, '--data', brokenData(name, from, change)];
};
const ALL = { recursive: true } as const;

const images = join(folder, 'images');
const prepared = join(folder, 'prepared');
const otherPrepared = join(folder, 'other prepared');
await writeImageFolder(images, 3, 3);
await prepareDataset({ source: images, destination: prepared, undecodableLimit: 0 });
await writeImageFolder(join(folder, 'other images'), 2, 2);
await prepareDataset({
  source: join(folder, 'other images'),
  destination: otherPrepared,
  undecodableLimit: 0,
});

const REFUSED: BadInput[] = [
  {
    name: 'an unknown preset',
    command: ['train', '--preset', 'alexnot'],
    message: /no preset is called "alexnot"; presets: .*alexnet/,
  },
  {
    name: 'no preset and no configuration',
    command: ['train'],
    message: /give --preset NAME or --config FILE/,
  },
  {
    name: 'an unknown option',
    command: train('--learning-rate', '1'),
    message: /Unknown argument.*learning-rate.*; see twotower train --help/,
  },
  {
    name: 'a field behind a dot of an option',
    command: train('--set.training.momentum=0.8'),
    message: /Unknown argument: set\.training\.momentum; see twotower train --help/,
  },
  {
    name: 'an option with --no-',
    command: train('--no-batch'),
    message: /Unknown arguments: no-batch, noBatch; see twotower train --help/,
  },
  {
    name: 'an option given twice',
    command: train('--gpus', '0', '--gpus', '1'),
    message: /--gpus is given more than once; give it once/,
  },
  {
    name: 'an unknown command',
    command: ['fly'],
    message: /Unknown command: fly; see twotower --help/,
  },
  {
    name: 'an unknown command on data',
    command: ['data', 'fetsh', 'cifar10'],
    message: /Unknown commands?: fetsh.*; see twotower data --help/,
  },
  {
    name: 'a configuration with a field of another type',
    command: [
      'train',
      '--config',
      brokenConfiguration('type', (text) => text.replace('"batch": 16', '"batch": "16"')),
    ],
    message: /type\.json: training\.batch must be integer; it is "16"/,
  },
  {
    name: 'a configuration that is not JSON',
    command: ['train', '--config', brokenConfiguration('cut', (text) => text.slice(0, 100))],
    message: /cut\.json is not valid JSON/,
  },
  {
    name: 'kernels that the towers do not divide',
    command: train('--cpu', '3'),
    message: /layer conv1: 8 kernels cannot be divided among 3 towers; towers that .*: 1, 2/,
  },
  {
    name: 'a batch larger than the data set',
    command: train('--batch', '257'),
    message: /a batch of 257 is larger than the data set's 256 training examples: give --batch 256/,
  },
  {
    name: 'a data folder that is not there',
    command: ['train', '--config', TINY, '--data', join(folder, 'absent')],
    message: /--data .*absent: there is no such folder/,
  },
  {
    name: 'a missing data file',
    command: withData('missing', data, (path) => rmSync(join(path, 'data_batch_3.bin'))),
    message: /missing\/data_batch_3\.bin is missing: /,
  },
  {
    name: 'a truncated data file',
    command: withData('truncated', data, (path) => {
      const file = join(path, 'test_batch.bin');
      writeFileSync(file, readFileSync(file).subarray(0, -1));
    }),
    message: /truncated\/test_batch\.bin is truncated: .*; remove its folder and fetch it again/,
  },
  {
    name: 'a label out of range',
    command: withData('label', data, (path) => {
      const file = join(path, 'data_batch_2.bin');
      const bytes = readFileSync(file);
      bytes[3 * 3073] = 10;
      writeFileSync(file, bytes);
    }),
    message: /label\/data_batch_2\.bin: record 3 has label 10, but there are 10 classes/,
  },
  {
    name: 'an empty class folder',
    command: withData('empty class', images, (path) => {
      for (const name of ['c', 'd']) mkdirSync(join(path, 'train', name));
    }),
    message:
      /empty class\/train\/c has no images: add some, or remove the folder if it is not a class/,
  },
  {
    name: 'no validation set',
    command: withData('no validation', images, (path) => rmSync(join(path, 'test'), ALL)),
    message: /no validation has no validation set: put images into .*test\/CLASS\//,
  },
  {
    name: 'a labels file of the wrong length',
    command: withData('labels', images, (path) => {
      renameSync(join(path, 'test/a'), join(path, 'val'));
      rmSync(join(path, 'test'), ALL);
      writeFileSync(join(path, 'val.txt'), '000.png a\n');
    }),
    message: /labels\/val\.txt has 1 labels, but there are 3 images: use the list of these images/,
  },
  {
    name: 'a shard that is cut short',
    command: withData('cut', prepared, (path) => truncateSync(join(path, 'test-00000.shard'), 99)),
    message: /cut\/test-00000\.shard is truncated: 99 bytes; run twotower data prepare again/,
  },
  {
    name: 'statistics of another data set',
    command: withData('statistics', prepared, (path) => {
      cpSync(join(otherPrepared, 'statistics.msgpack'), join(path, 'statistics.msgpack'));
    }),
    message: /statistics\.msgpack holds the statistics of another data set .*: run twotower data/,
  },
  {
    name: 'data that need a folder, without one',
    command: ['train', '--config', TINY],
    message: /data\.source is cifar10, which needs a folder: give --data DIR/,
  },
  {
    name: 'a command without its run',
    command: ['evaluate'],
    message: /an argument is missing; see twotower evaluate --help/,
  },
  {
    name: 'a GPU that is no number',
    command: train('--gpus', '0,x'),
    message: /--gpus takes GPU numbers or UUIDs separated by commas, such as 0,1; it is "0,x"/,
  },
  {
    name: "more than a GPU's memory",
    command: train('--gpus', '0', '--gpu-memory', '1.5'),
    message: /--gpu-memory must be above 0 and at most 1; it is "1.5"/,
  },
  {
    name: 'no CPU worker',
    command: train('--cpu', '0'),
    message: /--cpu must be a whole number, at least 1; it is "0"/,
  },
  {
    name: 'GPUs and CPUs at once',
    command: train('--gpus', '0,1', '--cpu', '2'),
    message: /--gpus and --cpu exclude each other: give one of them/,
  },
  {
    name: 'CPU workers with --require-gpu',
    command: train('--cpu', '2', '--require-gpu'),
    message: /--require-gpu: .*/,
  },
  {
    name: 'a --log-every that is no number',
    command: train('--log-every', 'often'),
    message: /--log-every must be a whole number, at least 1; it is "often"/,
  },
  {
    name: 'a check of gradients in bf16',
    command: ['check', '--config', TINY, '--data', data, '--cpu', '2', '--precision', 'bf16'],
    message: /gradients are not checked in bf16, .*: leave --precision out/,
  },
  {
    name: 'a parameter file that is not there',
    command: train('--cpu', '1', '--init', join(folder, 'absent.safetensors')),
    message: /absent\.safetensors/,
  },
];

suite('refused in one line, and nothing is written:', () => {
  for (const { name, command, message } of REFUSED) {
    test(name, async () => {
      const before = readdirSync(folder);
      await refuses(command[0] === 'train' ? [...command, '--out', out] : command, message);
      assert.deepEqual(readdirSync(folder), before);
    });
  }
});

test('what is refused is one line on stderr, nothing on stdout and the exit code 1', async () => {
  const { code, stdout, stderr } = await twotower(['train', '--preset', 'alexnot'], {
    cwd: folder,
  });
  assert.equal(code, 1);
  assert.match(stderr, /^twotower: no preset is called "alexnot".*\n$/);
  assert.equal(stdout, '');
});

suite('a run folder', () => {
  const run = join(folder, 'run');

  before(async () => {
    await succeeds(train('--cpu', '1', '--epochs', '1', '--test-limit', '16', '--out', run));
  });

  const copyOf = (name: string): string => {
    const path = join(folder, name);
    cpSync(run, path, { recursive: true });
    return path;
  };

  test('that exists is not trained into', async () => {
    await refuses(train('--out', run), /the run folder .*run exists and is not empty: choose/);
  });

  test('that is complete has nothing to go on with', async () => {
    await refuses(
      ['train', '--resume', run],
      /the run is complete: 1 of 1 epochs and 16 of 16 steps; give more --epochs to continue/,
    );
  });

  test('does not go on with another seed', async () => {
    await refuses(
      ['train', '--resume', run, '--seed', '8', '--epochs', '2'],
      /training\.seed cannot change in the run /,
    );
  });

  test('does not go on with another number of training images', async () => {
    const fewer = brokenData('fewer', data, (path) => {
      const file = join(path, 'data_batch_1.bin');
      writeFileSync(file, readFileSync(file).subarray(0, 3073 * 4));
    });
    await refuses(
      ['train', '--resume', run, '--data', fewer, '--epochs', '2'],
      /the checkpoint is of a data set with \d+ training images, this one has \d+: give the --data it was trained on/,
    );
  });

  test('without config.json is no run', async () => {
    await refuses(['train', '--resume', data], /data is not a run folder: it has no config\.json/);
  });

  test('without a checkpoint cannot go on', async () => {
    const path = copyOf('unsaved');
    rmSync(join(path, 'checkpoints'), { recursive: true });
    await refuses(['train', '--resume', path], /unsaved has no checkpoint yet: /);
  });

  test("with another network's checkpoint is refused with the parameter", async () => {
    const path = copyOf('another');
    const file = join(path, 'config.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"units": 32', '"units": 48'));
    const before = readFileSync(join(path, 'metrics.jsonl'), 'utf8');
    await refuses(
      ['train', '--resume', path, '--epochs', '2'],
      /model\.safetensors is a checkpoint of another network: its fc1\.weight is \[32, 144\], the network's \[48, 144\]/,
    );
    assert.equal(readFileSync(join(path, 'metrics.jsonl'), 'utf8'), before);
  });

  test('with a damaged checkpoint is refused with the file', async () => {
    const path = copyOf('damaged');
    const file = join(path, 'checkpoints', 'step-16', 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -4));
    const target = join(folder, 'damaged.safetensors');
    await refuses(['export', path, target], /damaged\/checkpoints\/step-16\/model\.safetensors/);
    assert.ok(!existsSync(target));
  });

  test('cannot be exported into a folder that is not there', async () => {
    await refuses(
      ['export', run, join(folder, 'absent', 'file.safetensors')],
      /cannot write .*absent\/file\.safetensors/,
    );
    await refuses(
      ['export', run, join(folder, 'absent', 'model'), '--format', 'tfjs'],
      /cannot write .*absent\/model: ENOENT/,
    );
  });
});

/** In this process, because most of such a command is the start of one. */
async function refuses(command: string[], expected: RegExp): Promise<void> {
  await assert.rejects(runCommandLine(command), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(messageOf(error), expected);
    return true;
  });
}
