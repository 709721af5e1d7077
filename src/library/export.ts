/** Writes a run's parameters for other programs: `exportModel` of the package. */
import { existsSync } from 'node:fs';
import { loadConfiguration } from '../configuration.js';
import { writeDurably } from '../durable_file.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import { onnxModel } from '../model/onnx.js';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import { openRunFolder } from '../runs/layout.js';
import type { RunFolder } from '../runs/layout.js';
import { readSafetensors, writeSafetensors } from '../runs/safetensors.js';
import type { TensorMap } from '../runs/safetensors.js';
import { writeClassificationPage } from './classification_page.js';
import { imageModelOf } from './image_model.js';
import { writeTfjs } from './tfjs_files.js';

/** How `exportModel` writes. */
export interface ExportOptions {
  /**
   * - `safetensors` (the default): a `state_dict` for PyTorch
   * - `onnx`: a model from normalized images, NCHW, to logits
   * - `tfjs`: a folder with a TensorFlow.js graph model from pixels, NHWC, to probabilities
   * - `html`: a page that classifies pictures in the browser
   */
  format?: 'safetensors' | 'onnx' | 'tfjs' | 'html' | undefined;
  /** ONNX: images per call, or any number of them (default 1). */
  batch?: number | 'dynamic' | undefined;
  /** Which checkpoint to export (default: the latest). */
  checkpoint?: CheckpointChoice | undefined;
}

/** What was written. */
export interface ExportedModel {
  tensors: number;
  /** The checkpoint's file that they are from. */
  source: string;
}

/**
 * Writes the parameters of a checkpoint.
 *
 * @param path run folder
 * @param file path of the new file, or folder for `tfjs`
 * @throws UserError if it is no run folder, has no such checkpoint, or the file exists; for `tfjs` and `html`,
 *   if the run does not know the mean of its images; for `html`, if it does not know the names of its classes
 */
export function exportModel(
  path: string,
  file: string,
  { format = 'safetensors', batch, checkpoint }: ExportOptions = {},
): ExportedModel {
  const run = openRunFolder(path);
  const chosen = chooseCheckpoint(run, checkpoint);
  const { model } = chosen.files;
  if (existsSync(file)) throw new UserError(`${file} exists: name another file or remove it`);
  if (batch !== undefined && format !== 'onnx') {
    throw new UserError(`--batch only works with --format onnx: ${BATCHES[format]}`);
  }
  const tensors = readSafetensors(model);
  if (format === 'onnx') {
    writeOnnx(file, run, tensors, batch);
  } else if (format === 'tfjs') {
    writeTfjs(file, imageModelOf(run, chosen, tensors));
  } else if (format === 'html') {
    writeClassificationPage(file, run.path, imageModelOf(run, chosen, tensors));
  } else {
    // A checkpoint's model file is the export: canonical names, PyTorch's layout.
    writeSafetensors(file, tensors, { format: 'pt' });
  }
  return { tensors: tensors.size, source: model };
}

const BATCHES = {
  safetensors: 'a safetensors file contains only parameters',
  tfjs: 'a graph model takes any number of images',
  html: 'a page takes one picture at a time',
  onnx: '',
};

/** How another program gets a mean that is not in the configuration. */
function meanOf(mean: 'image' | 'channel'): string {
  return `of the training images, per ${mean === 'image' ? 'pixel' : 'channel'}: statistics.msgpack of the run`;
}

function writeOnnx(
  file: string,
  run: RunFolder,
  tensors: TensorMap,
  batch: number | 'dynamic' = 1,
): void {
  const { network, towers, data } = loadConfiguration({ file: run.configurationFile });
  const metadata = {
    input: 'images [batch, channels, height, width]: (value / 255 - mean) / std of each channel',
    mean: typeof data.mean === 'string' ? meanOf(data.mean) : data.mean.join(' '),
    std: data.std.join(' '),
    output: 'logits [batch, classes], before the softmax',
  };
  const built = buildNetwork(network, towers, data.classes);
  writeDurably(file, [onnxModel(built, tensors, { batch, metadata })]);
}
