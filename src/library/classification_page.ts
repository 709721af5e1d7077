/**
 * The page of `export --format html`: one file with the network, its classes and the script of `browser/`, which the build
 * bundles into dist/browser/classify.js.
 *
 * The network stands in the page as data that the script reads: a JSON object of `PageModel` (id `model`), and the
 * float32 values of its tensors in base64, in pieces of one element each (class `tensor`).
 */
import { readFileSync } from 'node:fs';
import { writeDurably } from '../durable_file.js';
import { UserError } from '../errors.js';
import { classificationPage } from '../report/classification_page.js';
import { escapeMarkup, Markup } from '../report/markup.js';
import { pageBody, pageDocument } from '../report/page.js';
import { formatCount } from '../report/text.js';
import type { ImageModel } from './image_model.js';
import { MEAN_IMAGE } from './page_model.js';
import type { PageModel } from './page_model.js';

/** Bytes of a piece: a multiple of 3, so that its base64 has no padding, and of 4, so that no value is cut. */
const PIECE = 3 << 20;
/** Where the tensors go. */
const HERE = '<!-- tensors -->';

/**
 * @param file path of the new page
 * @param run what messages call the run
 * @throws UserError if the names of the classes are not known, or the file cannot be written
 */
export function writeClassificationPage(file: string, run: string, model: ImageModel): void {
  const { configuration, network, classes } = model;
  const { data, test, towers, name } = configuration;
  if (classes === null) {
    throw new UserError(
      `${run} has no names for its classes: import it again with --classes FILE, one name per line`,
    );
  }
  const content = classificationPage({
    name,
    towers,
    classes: classes.length,
    view: data.view,
    crops: test.crops,
    height: network.input.height,
    width: network.input.width,
    parameters: formatCount(network.parameterCount),
  });
  const embedded: PageModel = {
    network: configuration.network,
    towers,
    classes,
    view: data.view,
    crops: test.crops,
    background: data.background,
    mean: model.normalization.mean,
    std: model.normalization.std,
  };
  // A `<` could end the element, whatever a class is called.
  const json = JSON.stringify(embedded).replaceAll('<', '\\u003c');
  const body = new Markup(
    `${pageBody(content).text}<script type="application/json" id="model">${json}</script>${HERE}`,
  );
  const page = pageDocument(content.title, body, {
    text: readFileSync(new URL('../../browser/classify.js', import.meta.url), 'utf8'),
    policy: " 'wasm-unsafe-eval'; connect-src data:",
  });
  const at = page.indexOf(HERE);
  writeDurably(file, chunks(page.slice(0, at), model, page.slice(at + HERE.length)));
}

/** The tensors alone can be longer than a string. */
function* chunks(
  before: string,
  { parameters, normalization }: ImageModel,
  after: string,
): Generator<Uint8Array> {
  yield Buffer.from(before);
  for (const [name, { data }] of parameters) yield* pieces(name, data);
  if (normalization.meanImage !== null) yield* pieces(MEAN_IMAGE, normalization.meanImage);
  yield Buffer.from(after);
}

function* pieces(name: string, values: Float32Array): Generator<Uint8Array> {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < bytes.length; at += PIECE) {
    const base64 = bytes.subarray(at, at + PIECE).toString('base64');
    const start = `<script type="application/octet-stream" class="tensor" data-name="${escapeMarkup(name)}">`;
    yield Buffer.from(`${start}${base64}</script>\n`);
  }
}
