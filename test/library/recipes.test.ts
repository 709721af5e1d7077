/**
 * Every preset of the paper and its sources trains 20 steps from folders of images as ImageNet lies on disk, split and
 * grouped, with equal losses. Layers, their order, what they read, rates and events are the preset's; kernels and
 * units are an eighth (fc1 and fc2 a 64th) and ImageNet's crops are 67² or 64², so that conv1 to conv5 still have
 * 15², 7² and 3² places. `npm run test:recipes` leaves the presets whole, but for their rates.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import { loadRun, train } from 'twotower';
import { loadConfiguration, presetNames } from '../../src/configuration.js';
import type { Overrides } from '../../src/configuration.js';
import type { LayerSpecification } from '../../src/model/layers.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { newFolder } from '../commands/command_line.js';

const WHOLE = process.env['TWOTOWER_WHOLE_PRESETS'] === '1';
/** Those that have the layers of another one are left to `npm run test:recipes`. */
const PRESETS = WHOLE ? /alexnet|caffenet|pct/ : /^alexnet-(?!.*continued)|13pct-lrn/;
const STEPS = 20;
const BATCH = 8;
const CLASSES = 4;
const CLASS_FOLDERS = ['n01440764', 'n02084071', 'n03100240', 'n07747607'];

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = join(folder, 'imagenet');

/** Noise in a colour of the class, each image of another size and shape. */
async function writeImage(path: string, label: number, index: number): Promise<void> {
  const random = new RandomSequence(deriveKey(7, path.slice(folder.length)));
  const [width, height] = [60 + random.below(60), 60 + random.below(60)];
  const pixels = new Uint8Array(width * height * 3);
  for (let position = 0; position < pixels.length; position++) {
    pixels[position] = random.below(128) + (position % 3 === label % 3 ? 100 : 20 * (index % 2));
  }
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg()
    .toFile(path);
}

async function writeImageNet(): Promise<void> {
  for (const [split, images] of [
    ['train', 16],
    ['val', 2],
  ] as const) {
    for (const [label, name] of CLASS_FOLDERS.entries()) {
      mkdirSync(join(data, split, name), { recursive: true });
      for (let index = 0; index < images; index++) {
        await writeImage(join(data, split, name, `${name}_${index}.JPEG`), label, index);
      }
    }
  }
}

function smaller(layer: LayerSpecification): LayerSpecification {
  switch (layer.type) {
    case 'conv':
    case 'local':
      return { ...layer, kernels: layer.kernels / 8 };
    case 'fc':
      return layer.units === 'classes' ? layer : { ...layer, units: layer.units / 64 };
    default:
      return layer;
  }
}

function shrunk(preset: string): Overrides {
  const { layers, input } = loadConfiguration({ preset }).network;
  if (preset.startsWith('cifar10-')) return { network: { layers: layers.map(smaller) } };
  const side = input.height === 224 ? 64 : 67;
  return {
    network: { input: { height: side, width: side }, layers: layers.map(smaller) },
    data: { view: { type: 'crop', from: 76 } },
  };
}

/**
 * A fiftieth of what the preset's rate, which is for its own batches, comes to on so few images. At the
 * preset's, whole networks diverge on them; at fifty times this the losses jump between 0.2 and 9.
 */
function slower(preset: string): Overrides {
  const { learningRate, batch } = loadConfiguration({ preset }).training;
  return { training: { learningRate: (0.02 * learningRate * BATCH) / batch } };
}

/**
 * How far the losses may part, of a loss above 1 as a share. float32 rounds at 6e-8; sums of up to 9,216
 * terms in another order: √9216 · 6e-8 = 6e-6 a layer. The losses are of order ln CLASSES, and 20 steps at
 * rate 0.01 carry the differences on. Whole networks carry them further: in alexnet-2012, the worst, from
 * 2e-7 to 1e-4 in 20 steps, with each of four seeds, and no step stands out; a change of the initial weights
 * by one rounding grows in the same way. Half as much again a step is left; a wrong gradient shows in the
 * first ones.
 */
const tolerance = (step: number) => (WHOLE ? 1e-6 * 1.5 ** step : 1e-5);

async function losses(preset: string, name: string, cpu: number): Promise<number[]> {
  const out = join(folder, `${preset}-${name}`);
  await train({
    ...{ preset, data, out, cpu, towers: 2, steps: STEPS, batch: BATCH, testLimit: 8 },
    overrides: WHOLE ? slower(preset) : shrunk(preset),
  });
  return loadRun(out)
    .metrics.filter((event) => event.event === 'train')
    .map(({ loss }) => loss);
}

suite('from an ImageNet folder, split and grouped', () => {
  before(writeImageNet);

  for (const preset of presetNames().filter((name) => PRESETS.test(name))) {
    test(`${preset} takes ${STEPS} steps with equal losses`, async () => {
      const split = await losses(preset, 'split', 2);
      const grouped = await losses(preset, 'grouped', 1);
      assert.equal(split.length, STEPS);
      split.forEach((loss, step) => {
        const difference = Math.abs(loss - grouped[step]!);
        const bound = tolerance(step + 1) * Math.max(1, loss);
        assert.ok(difference <= bound, `step ${step + 1}: ${difference} of at most ${bound}`);
      });
      assert.ok(
        split.every((loss) => loss < 3 * Math.log(CLASSES)),
        split.join(),
      );
    });
  }
});
