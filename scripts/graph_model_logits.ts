/**
 * Prints the logits of images in a TensorFlow.js graph model as JSON, a row per image, for scripts/check_weights.py to
 * compare. TensorFlow.js reads the model itself, in Node or, for WebGL, in a headless Chromium.
 *
 *     node dist/scripts/graph_model_logits.js cpu|wasm|webgl FOLDER IMAGE…
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageView } from '../src/configuration.js';
import { decodeImageFile } from '../src/data/image_file.js';
import { testViews } from '../src/data/test_views.js';
import { rowOf } from '../src/model/probabilities.js';
import { computeInNode, WebglBrowser } from '../test/library/graph_models.js';
import type { Pixels } from '../test/library/graph_models.js';

const [backend, folder, ...files] = process.argv.slice(2) as [string, string, ...string[]];
const pixels = await pixelsOf(folder, files);
const { logits } =
  backend === 'webgl'
    ? await byWebgl(folder, pixels)
    : await computeInNode(backend as 'cpu' | 'wasm', folder, pixels);
const rows = files.map((_, image) => [...rowOf(logits, image, files.length)]);
console.log(JSON.stringify(rows));

/** The images as the model's own description says that it wants them. */
async function pixelsOf(model: string, images: string[]): Promise<Pixels> {
  const { signature, userDefinedMetadata } = JSON.parse(
    readFileSync(join(model, 'model.json'), 'utf8'),
  ) as {
    signature: { inputs: { images: { tensorShape: { dim: { size: string }[] } } } };
    userDefinedMetadata: { view: ImageView };
  };
  const [, height, width] = signature.inputs.images.tensorShape.dim.map(({ size }) =>
    Number(size),
  ) as [number, number, number];
  const views = [];
  for (const file of images) {
    const image = await decodeImageFile(file);
    views.push(testViews(image, userDefinedMetadata.view, { height, width }, 1)[0]!);
  }
  return {
    shape: [images.length, height, width, 3],
    data: Float32Array.from(Buffer.concat(views)),
  };
}

async function byWebgl(model: string, images: Pixels): Promise<{ logits: Float32Array }> {
  const browser = await WebglBrowser.launch();
  try {
    return await browser.compute(model, images);
  } finally {
    await browser.close();
  }
}
