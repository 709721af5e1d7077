/** Computes with an exported TensorFlow.js graph model as its users do: in Node, and by WebGL in a headless Chromium. */
import '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { build } from 'esbuild';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { launch } from 'puppeteer-core';
import type { Browser } from 'puppeteer-core';

export const CHROMIUM = '/usr/bin/chromium';

/** Why tests in a browser are skipped; false if they are not. */
export const noChromium: string | false = existsSync(CHROMIUM)
  ? false
  : `${CHROMIUM} is not there: apt-get install chromium`;

export interface Pixels {
  /** `[batch, height, width, channels]` */
  shape: [number, number, number, number];
  /** 0 to 255 */
  data: Float32Array;
}

/** What a model computes of images. */
export interface GraphOutputs {
  /** `[batch, classes]` */
  logits: Float32Array;
  probabilities: Float32Array;
}

/** @param folder as `export --format tfjs` writes it */
export async function computeInNode(
  backend: 'cpu' | 'wasm',
  folder: string,
  { shape, data }: Pixels,
): Promise<GraphOutputs> {
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(join(dirname(entry), '/'));
  await tf.setBackend(backend);
  const { modelTopology, weightsManifest, ...rest } = JSON.parse(
    readFileSync(join(folder, 'model.json'), 'utf8'),
  ) as tf.io.ModelJSON;
  const shards = weightsManifest.flatMap(({ paths }) => paths);
  const bytes = Buffer.concat(shards.map((shard) => readFileSync(join(folder, shard))));
  const artifacts: tf.io.ModelArtifacts = {
    ...rest,
    ...{ modelTopology, weightSpecs: weightsManifest.flatMap(({ weights }) => weights) },
    weightData: new Uint8Array(bytes).buffer,
  };
  const model = await loadGraphModel(tf.io.fromMemory(artifacts));
  const images = tf.tensor4d(data, shape);
  const logits = model.execute(images, 'logits') as tf.Tensor;
  const probabilities = model.predict(images) as tf.Tensor;
  const outputs = {
    logits: await logits.data<'float32'>(),
    probabilities: await probabilities.data<'float32'>(),
  };
  tf.dispose([images, logits, probabilities]);
  model.dispose();
  return outputs;
}

/** A headless Chromium that computes by WebGL, in software. */
export class WebglBrowser {
  private constructor(
    private readonly browser: Browser,
    private readonly tfjs: string,
  ) {}

  static async launch(): Promise<WebglBrowser> {
    const args = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
    // A superuser's Chromium has no sandbox.
    if (process.getuid?.() === 0) args.push('--no-sandbox');
    const tfjs = await tfjsForBrowsers();
    // In software, a large network takes minutes.
    const protocolTimeout = 1_800_000;
    return new WebglBrowser(
      await launch({ executablePath: CHROMIUM, args, protocolTimeout }),
      tfjs,
    );
  }

  close(): Promise<void> {
    return this.browser.close();
  }

  /** @param folder as `export --format tfjs` writes it */
  async compute(folder: string, { shape, data }: Pixels): Promise<GraphOutputs> {
    const page = await this.browser.newPage();
    await page.setRequestInterception(true);
    page.on('request', (request) => {
      const name = new URL(request.url()).pathname.slice(1);
      if (name === '') void request.respond({ contentType: 'text/html', body: EMPTY_PAGE });
      else void request.respond({ body: readFileSync(join(folder, name)) });
    });
    await page.goto('http://model.test/');
    await page.addScriptTag({ content: this.tfjs });
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
    const outputs = (await page.evaluate(
      `(${IN_PAGE})(${JSON.stringify(shape)}, ${JSON.stringify(bytes)})`,
    )) as { backend: string; logits: number[]; probabilities: number[] };
    await page.close();
    if (outputs.backend !== 'webgl') throw new Error(`the backend is ${outputs.backend}`);
    return {
      logits: Float32Array.from(outputs.logits),
      probabilities: Float32Array.from(outputs.probabilities),
    };
  }
}

/** With an icon, so that the browser asks for none. */
const EMPTY_PAGE = '<!doctype html><link rel="icon" href="data:,">';

/** As text: this program is compiled without the browser's types. */
const IN_PAGE = `async (shape, base64) => {
  await tf.setBackend('webgl');
  const model = await tf.loadGraphModel('model.json');
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const images = tf.tensor4d(new Float32Array(bytes.buffer), shape);
  const [logits, probabilities] = [model.execute(images, 'logits'), model.predict(images)];
  return {
    backend: tf.getBackend(),
    logits: [...await logits.data()],
    probabilities: [...await probabilities.data()],
  };
}`;

async function tfjsForBrowsers(): Promise<string> {
  const contents = `
    export * from '@tensorflow/tfjs-core';
    export { loadGraphModel } from '@tensorflow/tfjs-converter';
    import '@tensorflow/tfjs-backend-webgl';`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    ...{ bundle: true, write: false, format: 'iife', globalName: 'tf', logLevel: 'silent' },
  });
  return outputFiles[0]!.text;
}
