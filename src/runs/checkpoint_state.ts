/**
 * `state.msgpack` of a checkpoint: how far training had come, and on what it trained.
 *
 * The parameters and their momentum buffers lie beside it as safetensors.
 */
import { pack, unpack } from 'msgpackr';
import type { ConvolutionPass, PassAlgorithm } from '../backend/native/addon_layers.js';
import { PRECISIONS, type Precision } from '../backend/numerics.js';
import { readSmallFile } from '../bounded_file.js';
import { UserError, messageOf } from '../errors.js';
import type { PlateauState, Progress, Tested } from './progress.js';

/** Versions before it were never released. */
const STATE_VERSION = 2;

/** Bytes; a state has a few hundred, and with a thousand class names some 30,000. */
const LONGEST_STATE = 1 << 24;

/** What training stood at when a checkpoint was made. */
export interface CheckpointState {
  progress: Progress;
  seed: number;
  /** Towers of the network; a checkpoint loads into any placement of as many. */
  towers: number;
  datasetName: string;
  /** Class names, by label; null if the data was not opened, as for imported parameters. */
  classes: string[] | null;
  /** Images per step: the unit of `progress.batch`. */
  batch: number;
  /** Images of the training set; null if the data was not opened. */
  trainingImages: number | null;
  /** Of the operands of convolutions and matrix products; null before the first step. */
  precision: Precision | null;
  /** How the native backend computed the convolutions; undefined for others, and in checkpoints of version 0.2. */
  algorithms?: LayerAlgorithm[] | undefined;
  /** Version of nvJPEG, if it decoded the images. */
  nvjpeg?: string | undefined;
}

/** How a pass of a convolutional layer was computed. */
export interface LayerAlgorithm extends PassAlgorithm {
  layer: string;
  pass: ConvolutionPass;
}

/** A state as its file holds it. */
export interface StoredState extends CheckpointState {
  version: typeof STATE_VERSION;
  /** Length of `metrics.jsonl` at this checkpoint: later lines belong to later steps. */
  metricsBytes: number;
  /** Versions of the program and of Node that wrote it, for bug reports. */
  versions: Record<string, string>;
}

/** The bytes of `state.msgpack`. */
export function stateBytes(state: CheckpointState, metricsBytes: number): Uint8Array {
  const stored: StoredState = {
    ...state,
    version: STATE_VERSION,
    metricsBytes,
    versions: { node: process.versions.node },
  };
  return pack(stored);
}

/** @throws UserError naming the file, and what of it is missing, malformed or of another version */
export function readState(path: string): StoredState {
  const bytes = readSmallFile(path, LONGEST_STATE);
  let state: unknown;
  try {
    state = unpack(bytes);
  } catch (error) {
    throw new UserError(`${path} is malformed: ${messageOf(error)}`, { cause: error });
  }
  if (typeof state !== 'object' || state === null) throw new UserError(`${path} is malformed`);
  const { version } = state as Record<string, unknown>;
  if (version !== STATE_VERSION) {
    throw new UserError(
      `${path} has version ${JSON.stringify(version)}; this program reads version ${STATE_VERSION}`,
    );
  }
  const wrong = firstInvalid(STATE_FIELDS, state);
  if (wrong !== undefined) throw new UserError(`${path} is malformed: no valid ${wrong}`);
  return state as StoredState;
}

type Check = (value: unknown) => boolean;

const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isPositive: Check = (value) => isCount(value) && value !== 0;
const isFraction: Check = (value) => typeof value === 'number' && value >= 0 && value <= 1;
const isText: Check = (value) => typeof value === 'string';
const isOneOf =
  (...values: string[]): Check =>
  (value) =>
    values.includes(value as string);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const isObjectOf =
  <Fields extends object>(checks: Record<keyof Fields, Check>): Check =>
  (value) =>
    typeof value === 'object' && value !== null && firstInvalid(checks, value) === undefined;

/** The name of the first field that is missing or not valid. */
function firstInvalid(checks: Record<string, Check>, value: object): string | undefined {
  const fields = value as Record<string, unknown>;
  return Object.keys(checks).find((name) => !checks[name]!(fields[name]));
}

const PROGRESS_FIELDS: Record<keyof Progress, Check> = {
  step: isCount,
  epoch: isCount,
  batch: isCount,
  skipped: isCount,
  lastTest: orNull(
    isObjectOf<Tested>({
      step: isCount,
      loss: Number.isFinite,
      top1: isFraction,
      top5: isFraction,
    }),
  ),
  best: orNull(isObjectOf<{ step: number; top1: number }>({ step: isCount, top1: isFraction })),
  plateau: (value) =>
    value === undefined ||
    isObjectOf<PlateauState>({ drops: isCount, best: orNull(isFraction), waited: isCount })(value),
};

const ALGORITHM_FIELDS: Record<keyof LayerAlgorithm, Check> = {
  layer: isText,
  pass: isOneOf('forward', 'input', 'filter'),
  algorithm: isOneOf('direct', 'winograd', 'fft'),
  transformSize: isCount,
};

const STATE_FIELDS: Record<keyof StoredState, Check> = {
  version: isCount,
  progress: isObjectOf<Progress>(PROGRESS_FIELDS),
  seed: isCount,
  towers: isPositive,
  datasetName: isText,
  classes: orNull((value) => Array.isArray(value) && value.every(isText)),
  batch: isPositive,
  trainingImages: orNull(isCount),
  precision: orNull(isOneOf(...PRECISIONS)),
  algorithms: (value) =>
    value === undefined ||
    (Array.isArray(value) && value.every(isObjectOf<LayerAlgorithm>(ALGORITHM_FIELDS))),
  nvjpeg: (value) => value === undefined || isText(value),
  metricsBytes: isCount,
  versions: (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every(isText),
};
