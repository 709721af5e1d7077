/**
 * JPEGs decoded by nvJPEG on the first GPU, against the CPU's decoder: their pixels, windows of them, and how many per second.
 *
 * The pixels need not be equal. Both decoders undo the cosine transform, interpolate chroma if it has a lower resolution, and
 * convert to red, green and blue. Each may round after each of these or keep fractions. A rounding is off by ¼ on average, and
 * the conversion multiplies that of chroma by at most 1.772. So the mean difference is at most
 *
 *     grey                      ¼ + ¼                       transform, last rounding        0.5
 *     full colour resolution    ¼ + 1.772 · ¼ + ¼           transforms of both, last        1
 *     a quarter of it           ¼ + 1.772 · (¼ + ¼) + ¼     and the interpolation           1.5
 *
 * Chroma that is repeated instead of interpolated would differ by more on these images, whose colours change within a few pixels.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp, { type JpegOptions } from 'sharp';
import { loadCudaAddon } from '../../src/backend/native/cuda_addon.js';
import type { ImageView } from '../../src/configuration.js';
import { BatchRing } from '../../src/data/batches.js';
import { noNvJpeg, type JpegDecoder } from '../../src/data/choose_jpeg_decoder.js';
import type { Dataset } from '../../src/data/examples.js';
import { setOfFiles } from '../../src/data/folder.js';
import { GpuJpegs } from '../../src/data/gpu_jpegs.js';
import type { Image } from '../../src/data/image.js';
import { decodeImage } from '../../src/data/image_file.js';
import { BilinearResizer } from '../../src/data/resize.js';
import { usableCores } from '../../src/usable_cores.js';
import { randomValues } from './device_arrays.js';
import { Skipped } from './figures.js';
import type { Report } from './figures.js';
import type { Settings } from './settings.js';

/** Kinds of JPEGs, and the most that the mean of their difference may be. */
const KINDS: { name: string; options: JpegOptions; isGrey?: boolean; atMost: number }[] = [
  { name: 'grey', options: {}, isGrey: true, atMost: 0.5 },
  { name: 'full colour resolution', options: { chromaSubsampling: '4:4:4' }, atMost: 1 },
  { name: 'a quarter of the colour resolution', options: {}, atMost: 1.5 },
  { name: 'progressive', options: { progressive: true }, atMost: 1.5 },
];

const WHOLE: ImageView = { type: 'resize' };
/** Of the timed images, as for ImageNet. */
const TIMED = { view: { type: 'crop', from: 256 }, side: 224, batch: 32 } as const;

/** @throws Skipped without nvJPEG */
export async function checkImages(settings: Settings, report: Report): Promise<void> {
  const decoder = decoderHere();
  report({ name: 'nvJPEG', value: `${decoder.version}, ${decoder.file}` });
  const jpegs = new GpuJpegs(0, []);
  for (const { name, options, isGrey = false, atMost } of KINDS) {
    const bytes = await makeJpeg(settings, options, isGrey);
    const ofGpu = pixelsOf(jpegs, bytes);
    const { mean, largest } = differences(ofGpu.pixels, await decodeImage(bytes, name));
    report({ name: `mean difference of 256 levels, ${name}`, value: mean, bound: { atMost } });
    report({ name: `largest difference, ${name}`, value: largest });
    const value = wrongBytes(jpegs, ofGpu);
    report({ name: `bytes that resizing makes wrong, ${name}`, value, bound: { atMost: 0 } });
  }
  await timeDecoders(settings, decoder, report);
}

function decoderHere(): JpegDecoder {
  try {
    return { name: 'nvJPEG', ...loadCudaAddon().nvjpeg(), gpus: [0] };
  } catch (error) {
    throw new Skipped(noNvJpeg(error));
  }
}

/** Colours that change smoothly within a few pixels. */
async function makeJpeg(
  { jpegSize: { height, width } }: Pick<Settings, 'jpegSize'>,
  options: JpegOptions,
  isGrey: boolean,
): Promise<Buffer> {
  const raw = { width: Math.ceil(width / 8), height: Math.ceil(height / 8), channels: 3 } as const;
  const noise = randomValues(raw.width * raw.height * 3, 128);
  const image = sharp(
    Uint8Array.from(noise, (value) => value + 128),
    { raw },
  );
  return image
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .toColourspace(isGrey ? 'b-w' : 'srgb')
    .jpeg({ quality: 90, ...options })
    .toBuffer();
}

/** nvJPEG's own pixels: the whole image in its own size. */
function pixelsOf(jpegs: GpuJpegs, bytes: Uint8Array): Image {
  const image = jpegs.decode(bytes, 'a generated image');
  if (image === null) throw new Error('nvJPEG does not decode a plain JPEG');
  const { height, width } = image;
  const pixels = new Uint8Array(height * width * 3);
  const window = { top: 0, left: 0, height, width, mirrored: false };
  jpegs.show(image, WHOLE, window, { height, width }, pixels);
  return { height, width, pixels };
}

function differences(pixels: Uint8Array, expected: Image): { mean: number; largest: number } {
  const each = pixels.map((value, at) => Math.abs(value - expected.pixels[at]!));
  const mean = each.reduce((sum, one) => sum + one, 0) / each.length;
  return { mean, largest: each.reduce((most, one) => Math.max(most, one), 0) };
}

/** Bytes of the image that was decoded last, made half as large on the GPU, that differ from the CPU's of the same pixels. */
function wrongBytes(jpegs: GpuJpegs, { height, width, pixels }: Image): number {
  const half = { height: Math.ceil(height / 2), width: Math.ceil(width / 2) };
  const [onGpu, onCpu] = [0, 1].map(() => new Uint8Array(half.height * half.width * 3));
  const window = { top: 0, left: 0, height, width, mirrored: false };
  jpegs.show({ height, width, isOnGpu: true }, WHOLE, window, half, onGpu!);
  new BilinearResizer(height, width, half.height, half.width).resize(pixels, onCpu!);
  return onGpu!.filter((value, at) => value !== onCpu![at]).length;
}

async function timeDecoders(
  settings: Settings,
  nvjpeg: JpegDecoder,
  report: Report,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'twotower-jpegs-'));
  try {
    const files = await Promise.all(
      Array.from({ length: TIMED.batch }, async (_, index) => {
        const file = join(folder, `${index}.jpg`);
        writeFileSync(file, await makeJpeg(settings, {}, false));
        return file;
      }),
    );
    const count = Math.ceil(settings.timedJpegs / TIMED.batch + 1) * TIMED.batch;
    const repeated = Array.from({ length: count }, (_, index) => files[index % files.length]!);
    const set = setOfFiles(repeated, new Int32Array(count));
    for (const decoders of new Set([1, usableCores()])) {
      for (const jpegDecoder of [nvjpeg, undefined]) {
        const value = await imagesPerSecond(
          { classes: [''], train: set, test: set },
          decoders,
          jpegDecoder,
        );
        const who = jpegDecoder === undefined ? 'CPU' : 'nvJPEG';
        const name = `${who}, ${decoders} ${decoders === 1 ? 'thread' : 'threads'}`;
        report({ name, value, unit: 'images/s' });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The first batch, in which the threads start, is not counted. */
async function imagesPerSecond(
  dataset: Dataset,
  decoders: number,
  jpegDecoder: JpegDecoder | undefined,
): Promise<number> {
  const { view, side, batch: size } = TIMED;
  const ring = new BatchRing({
    dataset,
    data: { view, flip: true },
    ...{ height: side, width: side, batch: size, seed: 0, slots: 3 },
    decoders,
    jpegDecoder,
  });
  try {
    const batches = dataset.train.count / size;
    let start = 0;
    for (let batch = 0; batch < batches; batch++) {
      (await ring.batchAt({ epoch: 0, batch })).release();
      if (batch === 0) start = performance.now();
    }
    return ((batches - 1) * size * 1000) / (performance.now() - start);
  } finally {
    await ring.close();
  }
}
