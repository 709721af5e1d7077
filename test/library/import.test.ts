import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { evaluate, exportModel, importModel, loadRun, ModelDoesNotFit, train } from 'twotower';
import { loadConfiguration } from '../../src/configuration.js';
import { buildNetwork, elements } from '../../src/model/network.js';
import { fillUniform } from '../../src/random.js';
import { readSafetensors, writeSafetensors } from '../../src/runs/safetensors.js';
import type { TensorMap } from '../../src/runs/safetensors.js';
import { newFolder, TINY, twotower, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);
const data = writeTinyImages(at('data'));

/** What the tiny network of so many towers holds, of fresh numbers. */
function tensorsOf(towers: number): TensorMap {
  const { network, data: images } = loadConfiguration({ file: TINY });
  const { parameters } = buildNetwork(network, towers, images.classes);
  const key = Math.trunc(Math.random() * 2 ** 31);
  return new Map(
    parameters.map(({ name, shape }, index) => {
      const values = new Float32Array(elements(shape));
      fillUniform([key, index], 0, -0.3, 0.3, values);
      return [name, { shape, data: values }];
    }),
  );
}

function written(name: string, tensors: TensorMap): string {
  writeSafetensors(at(name), tensors, { format: 'pt' });
  return at(name);
}

/** Rewrites the header of a file: types and names can be what we do not write ourselves. */
function withHeader(file: string, change: (json: string) => string): string {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE());
  const json = Buffer.from(change(bytes.toString('utf8', 8, 8 + length)));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(file, Buffer.concat([size, json, bytes.subarray(8 + length)]));
  return file;
}

async function differencesOf(file: string, towers?: number): Promise<string[]> {
  const out = at('refused');
  try {
    await importModel(file, { config: TINY, towers, out });
  } catch (error) {
    assert.ok(error instanceof ModelDoesNotFit, String(error));
    assert.ok(!existsSync(out), 'a run folder was left');
    return error.differences.map(
      ({ name, inFile, inNetwork }) => `${name}: ${inFile} for ${inNetwork}`,
    );
  }
  return [];
}

suite('a state_dict that was imported', () => {
  for (const [kind, towers] of [
    ['grouped', 2],
    ['dense', 1],
  ] as const) {
    test(`of ${kind} kernels is a run of ${towers} towers, its bytes the file's`, async () => {
      const file = written(`${kind}.safetensors`, tensorsOf(towers));
      const run = await importModel(file, { config: TINY, out: at(kind) });
      assert.equal(run.towers, towers);
      assert.equal(loadRun(run.path).configuration.towers, towers);
      exportModel(run.path, at(`${kind}-again.safetensors`));
      assert.deepEqual(readFileSync(at(`${kind}-again.safetensors`)), readFileSync(file));
    });
  }

  test('without the mean image that its preset subtracts is not exported for pixels', async () => {
    const file = written('mean.safetensors', tensorsOf(2));
    const settings = ['data.mean="image"'];
    const { path } = await importModel(file, { config: TINY, settings, out: at('meanless') });
    assert.throws(
      () => exportModel(path, at('meanless-tfjs'), { format: 'tfjs' }),
      /meanless has no mean of its training images.*--set data\.mean=/,
    );
    assert.ok(!existsSync(at('meanless-tfjs')));
  });

  test('is evaluated, and trained on as another run from the same file', async () => {
    const file = written('start.safetensors', tensorsOf(2));
    const { path } = await importModel(file, { config: TINY, data, out: at('start') });
    const devices = { cpu: 2, testLimit: 32 };
    const { loss, top1, top5 } = await evaluate(path, devices);
    // A rate so small that the update rounds to nothing.
    const settings = ['training.weightDecay=0'];
    const course = { ...devices, steps: 1, learningRate: 1e-30, settings };
    const fromFile = { config: TINY, data, init: file, out: at('from-init') };
    const initialized = await train({ ...course, ...fromFile });
    const resumed = await train({ ...course, resume: path });
    assert.deepEqual([resumed.status, resumed.steps], ['completed', 1]);
    for (const { test: result } of [initialized, resumed]) {
      assert.deepEqual([result!.loss, result!.top1, result!.top5], [loss, top1, top5]);
    }
  });

  test('may have the names that DataParallel and compile give', async () => {
    const file = written('wrapped.safetensors', tensorsOf(2));
    const values = readSafetensors(file);
    withHeader(file, (json) => json.replace(/"(\w+\.(weight|bias))"/g, '"module._orig_mod.$1"'));
    const { path } = await importModel(file, { config: TINY, out: at('wrapped') });
    assert.deepEqual(loadRun(path).loadCheckpoint().model, values);
  });
});

suite('a state_dict that does not fit', () => {
  test('is refused with everything that is missing, left over or of another shape', async () => {
    const tensors = tensorsOf(2);
    const bias = tensors.get('fc1.bias')!;
    tensors.delete('fc1.bias');
    tensors.set('fc9.bias', bias);
    tensors.set('conv3.bias', { shape: [4, 4], data: new Float32Array(16) });
    assert.deepEqual(await differencesOf(written('parts.safetensors', tensors)), [
      'conv3.bias: F32 [4, 4] for F32 [16]',
      'fc1.bias: null for F32 [32]',
      'fc9.bias: F32 [32] for null',
    ]);
  });

  test('is refused where its numbers are of another type, with the way to convert them', async () => {
    const file = written('types.safetensors', tensorsOf(2));
    withHeader(file, (json) => json.replace('"F32"', '"I32"'));
    assert.deepEqual(await differencesOf(file), [
      'conv1.weight: I32 [8, 3, 5, 5] for F32 [8, 3, 5, 5]',
    ]);
    await assert.rejects(importModel(file, { config: TINY, out: at('x') }), /tensor\.float\(\)/);
  });

  test('is refused where it is grouped otherwise than asked', async () => {
    const file = written('asked.safetensors', tensorsOf(2));
    assert.deepEqual(await differencesOf(file, 1), [
      'conv2.weight: F32 [16, 4, 3, 3] for F32 [16, 8, 3, 3]',
    ]);
  });

  test("is refused as torch.save's own format, with the way to write this one", async () => {
    writeFileSync(at('model.pth'), 'PK\u0003\u0004 and the rest of an archive');
    await assert.rejects(importModel(at('model.pth'), { config: TINY, out: at('x') }), {
      name: 'UserError',
      message: /torch\.save; write it with safetensors\.torch\.save_file/,
    });
  });

  test('is refused by the name of a tensor that is not finite', async () => {
    const tensors = tensorsOf(2);
    tensors.get('conv1.weight')!.data[5] = Number.NaN;
    const file = written('not-finite.safetensors', tensors);
    await assert.rejects(importModel(file, { config: TINY, out: at('nan') }), {
      name: 'UserError',
      message: `${file}: conv1.weight is not finite (NaN at [0, 0, 1, 0]): take parameters from before training diverged`,
    });
    assert.ok(!existsSync(at('nan')));
  });

  test('is listed by the command as a table above the one line of the error', async () => {
    const tensors = tensorsOf(2);
    tensors.delete('fc2.weight');
    const file = written('listed.safetensors', tensors);
    const { code, stderr } = await twotower(['import', file, '--config', TINY], {
      cwd: folder,
      environment: { COLUMNS: '80' },
    });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^tensor +in the file +in the network\nfc2\.weight +missing +F32 \[10, 32\]\n/,
    );
    assert.match(
      stderr,
      /\ntwotower: .* does not fit tiny with 2 towers: 1 of its tensors differ.*\n$/,
    );
    assert.ok(!readdirSync(folder).includes('runs'));
  });
});
