import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import { runCommandLine } from '../../src/commands/command_line.js';
import { UserError } from '../../src/errors.js';
import { newFolder, succeeds, TINY, writeTinyImages } from './command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

suite('visualize', () => {
  before(async () => {
    const data = writeTinyImages(join(folder, 'data'));
    const train = ['train', '--config', TINY, '--data', data, '--cpu', '2', '--steps', '3'];
    await succeeds([...train, '--out', 'run'], { cwd: folder });
  });

  for (const figure of ['kernels', 'predictions', 'neighbours']) {
    test(`writes ${figure} into the run folder as a PNG`, async () => {
      const flags = figure === 'kernels' ? [] : [`--${figure}`, '--cpu', '2'];
      const { stdout } = await succeeds(['visualize', 'run', ...flags], { cwd: folder });
      assert.equal(stdout, `run/${figure}.png\n`);
      assert.equal((await sharp(join(folder, 'run', `${figure}.png`)).metadata()).format, 'png');
    });
  }

  test('draws the kernels of the layer that is named, and names those that have some', async () => {
    const { stdout } = await succeeds(['visualize', 'run', '--layer', 'conv2'], { cwd: folder });
    assert.equal(stdout, 'run/kernels-conv2.png\n');
    assert.equal((await sharp(join(folder, 'run/kernels-conv2.png')).metadata()).format, 'png');
    await assert.rejects(
      runCommandLine(['visualize', join(folder, 'run'), '--layer', 'relu1']),
      /^UserError: layer relu1 has no kernels in this network; these have: conv1, conv2, conv3, fc1, fc2$/,
    );
  });

  test('draws what each layer puts out for a picture', async () => {
    const picture = join('run', 'kernels.png');
    const { stdout } = await succeeds(['visualize', 'run', '--maps', picture], { cwd: folder });
    assert.equal(stdout, 'run/maps.png\n');
    const noPicture = join(folder, 'run', 'config.json');
    await assert.rejects(
      runCommandLine(['visualize', join(folder, 'run'), '--maps', noPicture]),
      /config\.json cannot be decoded/,
    );
  });

  test('says on stderr how far a search is', async () => {
    const search = ['visualize', 'run', '--neighbours', '--cpu', '1', '--search', '64'];
    const { stderr } = await succeeds(search, { cwd: folder });
    assert.match(stderr, /^searching: images 64\/64$/m);
  });

  test('draws the same predictions on any placement', async () => {
    const draw = async (cpu: string): Promise<Uint8Array> => {
      const out = ['--predictions', '--cpu', cpu, '--out', `${cpu}.png`];
      await succeeds(['visualize', 'run', ...out], { cwd: folder });
      return sharp(join(folder, `${cpu}.png`))
        .raw()
        .toBuffer();
    };
    assert.deepEqual(await draw('1'), await draw('2'));
  });

  for (const [picture, option, message] of [
    [[], '--images', '--images needs --predictions or --neighbours; kernels need no images'],
    [[], '--cpu', '--cpu needs --predictions or --neighbours; kernels need no images'],
    [[], '--data', '--data needs --predictions or --neighbours; kernels need no images'],
    [[], '--search', '--search goes with --neighbours only'],
    [['--predictions'], '--search', '--search goes with --neighbours only'],
    [
      ['--maps', 'x.png'],
      '--cpu',
      '--cpu needs --predictions or --neighbours; --maps has its image',
    ],
  ] as const) {
    test(`refuses ${[option, ...picture].join(' with ')}, which it would not heed`, async () => {
      const line = ['visualize', join(folder, 'run'), ...picture, option, '1'];
      await assert.rejects(runCommandLine(line), { name: UserError.name, message });
    });
  }

  test('refuses two pictures at once', async () => {
    await assert.rejects(
      runCommandLine(['visualize', join(folder, 'run'), '--predictions', '--neighbours']),
      /^UserError: Arguments predictions and neighbours are mutually exclusive/,
    );
  });
});
