/** The page of `export --format html` in a headless Chromium, against `predict`. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch } from 'puppeteer-core';
import type { Browser, Page } from 'puppeteer-core';
import sharp from 'sharp';
import { exportModel, importModel, predict } from 'twotower';
import type { DatasetStatistics } from 'twotower';
import { loadConfiguration } from '../../src/configuration.js';
import { buildNetwork, elements } from '../../src/model/network.js';
import { fillUniform } from '../../src/random.js';
import { keepStatistics } from '../../src/runs/statistics.js';
import { writeSafetensors } from '../../src/runs/safetensors.js';
import { newFolder, TINY } from '../commands/command_line.js';
import { CHROMIUM, noChromium } from './graph_models.js';

const HOSTILE = `</script><script>window.hacked = true</script><img src=x onerror="hacked = true">`;
const CLASSES = ['ant', 'bee', HOSTILE, 'crab', 'dove', 'eel', 'frog', 'goat', 'hare', 'ibis'];

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

/** Of fresh numbers, so large that the classes differ; conv2's kernels of tower 1 never respond. */
function writeParameters(file: string): string {
  const { network, data } = loadConfiguration({ file: TINY });
  const { parameters } = buildNetwork(network, 2, data.classes);
  const key = Math.trunc(Math.random() * 2 ** 31);
  const tensors = parameters.map(({ name, shape }, index) => {
    const values = new Float32Array(elements(shape));
    fillUniform([key, index], 0, -0.6, 0.6, values);
    if (name === 'conv2.weight') values.fill(0, values.length / 2);
    if (name === 'conv2.bias') values.fill(-1, values.length / 2);
    return [name, { shape, data: values }] as const;
  });
  writeSafetensors(file, new Map(tensors), { format: 'pt' });
  return file;
}

/** A mean image of 40 × 40 random pixels. */
function someStatistics(): DatasetStatistics {
  const [height, width] = [40, 40];
  const meanImage = Float32Array.from(randomBytes(height * width * 3));
  const none = [0, 0, 0];
  const matrix = [none, none, none];
  const colours = { mean: none, covariance: matrix, eigenvalues: none, eigenvectors: matrix };
  return { dataset: 'none', images: 0, height, width, meanImage, ...colours };
}

/** A run of the parameters, and its page. */
async function writePage(name: string, settings: string[]): Promise<string> {
  const run = at(name);
  const classes = at('classes.txt');
  await importModel(at('parameters.safetensors'), { config: TINY, classes, settings, out: run });
  keepStatistics(run, someStatistics());
  exportModel(run, `${run}.html`, { format: 'html' });
  return run;
}

/** Blocks of random colours, some of them transparent; browsers round half-transparent ones in their own way. */
async function writePictures(): Promise<void> {
  const raw = { width: 8, height: 6, channels: 4 as const };
  const bytes = randomBytes(8 * 6 * 4).map((byte, at) =>
    at % 4 < 3 ? byte : byte < 100 ? 0 : 255,
  );
  const blocks = sharp(bytes, { raw }).resize(88, 66, { kernel: 'nearest' });
  await blocks.clone().png().toFile(at('transparent.png'));
  await blocks.clone().removeAlpha().png().toFile(at('opaque.png'));
  await blocks.clone().removeAlpha().jpeg().toFile(at('photograph.jpg'));
}

let browser: Browser;

async function openPage(run: string, width = 1100): Promise<{ page: Page; log: string[] }> {
  const page = await browser.newPage();
  const log: string[] = [];
  page.on('console', (message) => log.push(message.text()));
  page.on('pageerror', (error) => log.push(String(error)));
  page.on('request', (request) => log.push(request.url().slice(0, 30)));
  await page.setViewport({ width, height: 800 });
  await page.goto(pathToFileURL(`${run}.html`).href);
  await saying(page, 'Ready');
  return { page, log };
}

async function saying(page: Page, text: string): Promise<void> {
  await page.waitForFunction(`document.getElementById('status').textContent.includes('${text}')`);
}

async function choose(page: Page, file: string): Promise<void> {
  await ask(page, `document.getElementById('status').textContent = ''`);
  const [chooser] = await Promise.all([page.waitForFileChooser(), page.click('label.button')]);
  await chooser.accept([file]);
}

/** As text: this program is compiled without the browser's types. */
async function ask<Answer>(page: Page, expression: string): Promise<Answer> {
  return (await page.evaluate(expression)) as Answer;
}

/** Names and values of the bars in the element of this id. */
const barsIn = (page: Page, id: string): Promise<[string, number[]][]> =>
  ask(
    page,
    `[...document.querySelectorAll('#${id} > div')].map((row) => [
      row.querySelector('span').textContent,
      row.querySelector('data').value.split(' ').map(Number),
    ])`,
  );

suite('the page that classifies', { skip: noChromium }, () => {
  let whole: string;
  let crops: string;

  before(async () => {
    writeFileSync(at('classes.txt'), CLASSES.join('\n'));
    writeParameters(at('parameters.safetensors'));
    await writePictures();
    whole = await writePage('whole', []);
    crops = await writePage('crops', [
      'data.view={"type":"crop","from":40}',
      'test.crops=10',
      'data.mean="image"',
      'data.background=[200,30,90]',
    ]);
    const args = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
    // A superuser's Chromium has no sandbox.
    if (process.getuid?.() === 0) args.push('--no-sandbox');
    browser = await launch({ executablePath: CHROMIUM, args });
  });
  after(() => browser?.close());

  test('gives the probabilities of predict, of the whole picture and of ten crops', async () => {
    for (const [run, ...names] of [
      [whole, 'opaque.png', 'photograph.jpg'],
      [crops, 'opaque.png', 'transparent.png'],
    ] as [string, ...string[]][]) {
      const { page } = await openPage(run);
      for (const { file, top } of await predict(run, names.map(at), { cpu: 1 })) {
        await choose(page, file);
        await saying(page, 'Classified');
        const shown = await barsIn(page, 'top');
        assert.deepEqual(
          shown.map(([name]) => name),
          top.map(({ class: name }) => name),
        );
        shown.forEach(([, [value]], index) => {
          // A PNG has one decoding, and Chromium's JPEGs are libjpeg-turbo's, as ours.
          const difference = Math.abs(value! - top[index]!.probability);
          assert.ok(difference < 1e-4, `${file}: ${difference}`);
        });
      }
      await page.close();
    }
  });

  test('asks for nothing but itself, says nothing on the console, and shows hostile names as text', async () => {
    const { page, log } = await openPage(whole);
    await choose(page, at('opaque.png'));
    await saying(page, 'Classified');
    assert.equal(await ask(page, 'window.hacked'), undefined);
    assert.equal(await ask(page, 'document.images.length'), 0);
    const blocked = await ask(page, `fetch('https://example.org/').then(() => false, () => true)`);
    assert.equal(blocked, true);
    const own = pathToFileURL(`${whole}.html`).href.slice(0, 30);
    const expected = [own, /^data:application\/wasm/, /Content Security Policy/];
    const others = log.filter((line) => !expected.some((known) => line.match(known) !== null));
    assert.deepEqual(others, []);
    await page.close();
  });

  test('shows each tower’s share of every layer’s activation, and its kernels', async () => {
    const { page } = await openPage(whole);
    await choose(page, at('opaque.png'));
    await saying(page, 'Classified');
    const activity = new Map(await barsIn(page, 'activity'));
    assert.deepEqual([...activity.keys()], ['conv1', 'conv2', 'conv3', 'fc1']);
    assert.deepEqual(activity.get('conv2'), [1, 0]);
    for (const [first, second] of activity.values()) {
      assert.ok(Math.abs(first! + second! - 1) < 1e-12);
    }
    assert.ok(activity.get('conv1')!.every((share) => share > 0));
    const drawn = `[...document.querySelectorAll('#kernels canvas')].map((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    })`;
    const colours = await ask<number[]>(page, drawn);
    assert.equal(colours.length, 2);
    // 4 kernels of 5 × 5 random colours, and the white between them.
    colours.forEach((count) => assert.ok(count > 80, String(count)));
    await page.close();
  });

  test('classifies what is dropped on it and what the camera sees', async () => {
    const { page } = await openPage(whole);
    await ask(
      page,
      `(async () => {
        const canvas = new OffscreenCanvas(30, 30);
        canvas.getContext('2d').fillRect(5, 5, 10, 10);
        const transfer = new DataTransfer();
        transfer.items.add(new File([await canvas.convertToBlob()], 'drawn.png'));
        document.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer }));
      })()`,
    );
    await saying(page, 'Classified');
    await ask(page, `document.getElementById('status').textContent = ''`);
    await page.click('#camera');
    await page.waitForFunction(`document.getElementById('video').videoWidth > 0`);
    await page.click('#shoot');
    await saying(page, 'Classified');
    assert.equal(await ask(page, `document.getElementById('video').srcObject`), null);
    assert.equal((await barsIn(page, 'top')).length, 5);
    await page.close();
  });

  test('says what it cannot read, and goes on', async () => {
    const { page } = await openPage(whole, 390);
    await choose(page, at('classes.txt'));
    await saying(page, 'cannot read that file as a picture');
    await choose(page, at('opaque.png'));
    await saying(page, 'Classified');
    assert.equal(
      await ask(page, `document.getElementById('status').classList.contains('alarm')`),
      false,
    );
    assert.equal(await ask(page, 'document.documentElement.scrollWidth'), 390);
    await page.close();
  });
});

test('a run that does not know its classes has no page', async () => {
  const parameters = writeParameters(at('nameless.safetensors'));
  await importModel(parameters, { config: TINY, out: at('nameless') });
  assert.throws(
    () => exportModel(at('nameless'), at('nameless.html'), { format: 'html' }),
    /nameless has no names for its classes: import it again with --classes FILE/,
  );
});
