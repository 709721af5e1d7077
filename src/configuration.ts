/**
 * The configuration of a run: a preset or a file, checked against `config/schema.json`, with overrides applied.
 *
 * A run folder keeps the resolved form as `config.json`, which is itself a valid configuration file. A mistake in a
 * file or an override is a UserError of one line that names the file and the field.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv, type ErrorObject } from 'ajv';
import { readSmallText } from './bounded_file.js';
import { messageOf, UserError } from './errors.js';
import type { NetworkSpecification } from './model/layers.js';

/** Learning rate over time. */
export type Schedule =
  | { type: 'constant' }
  /** `learningRate` × factor^(number of `at` epochs already completed). */
  | { type: 'steps'; at: number[]; factor: number }
  /** Multiplied by `factor` after `patience` epochs without a better test, at most `drops` times. */
  | { type: 'plateau'; factor: number; patience: number; drops: number };

/** From an epoch on, a layer's learning rates are other multiples of the run's; 0 freezes. */
export interface TrainingEvent {
  /** Epochs completed before it; 0: from the start. */
  epoch: number;
  layer: string;
  /** The weight's new multiplier; left out: as it was. */
  weight?: number;
  bias?: number;
}

/** Where images come from. */
export type DataSource =
  /** Drawn shapes and textures, 10 classes, 32×32. */
  | 'generated'
  /** CIFAR-10 or CIFAR-100 in `directory`, in any version. */
  | 'cifar10'
  /** `train/CLASS/*` and `test/CLASS/*` in `directory`. */
  | 'folder'
  /** What `data prepare` wrote in `directory`. */
  | 'prepared'
  /** Tars or Parquet files in `directory`. */
  | 'shards'
  /** Uniform noise with random labels, for timing. */
  | 'random';

/** How the network's input is made from an image; see src/data/views.ts. */
export type ImageView =
  /** The whole image, resized. */
  | { type: 'resize' }
  /** Training: a random window of the image's own size after padding each side by black `pixels`; resized. */
  | { type: 'pad'; pixels: number }
  /** A window of the network's size in the image made `from` × `from`: training a random one, test the centre. */
  | { type: 'crop'; from: number };

/** Noise on the colour of each training image, along the principal components of all their colours. */
export interface ColourConfiguration {
  /** Standard deviation of the numbers drawn, one a component; the paper's is 0.1. */
  deviation: number;
  /**
   * What a number is multiplied by: the component's `eigenvalue`, with pixels from 0 to 1 (the paper's
   * text), or its root, the colours' `standardDeviation` (the 2012 source).
   */
  scale: 'eigenvalue' | 'standardDeviation';
  /** Epochs after which there is none; null: to the end. */
  until: number | null;
}

/** Which images, and how they become input. */
export interface DataConfiguration {
  source: DataSource;
  /** Where `cifar10`, `folder` and `prepared` lie; null for the others. */
  directory: string | null;
  classes: number;
  /**
   * Pixels are (value / 255 − mean) / std, per channel; `channel` and `image`: the mean of the training images'
   * channels, or of each of their pixels.
   */
  mean: [number, number, number] | 'image' | 'channel';
  std: [number, number, number];
  view: ImageView;
  /** null: none. */
  colour: ColourConfiguration | null;
  /** Mirror half of the training images, at random. */
  flip: boolean;
  /** Share of the images, 0 to 1, that may be undecodable before training stops (default 0.01). */
  undecodableLimit?: number;
  /** What transparent areas show: red, green and blue, 0 to 255 (default white). */
  background?: [number, number, number] | undefined;
  /** CIFAR-100's labels: 100 classes or 20 groups of them (default fine). */
  labels?: 'fine' | 'coarse';
  /** Share of each class that is for training, 0 to 1, in a folder without a test set. */
  split?: number;
  /**
   * Share of each class of the training images, 0 to 1, that the tests of a run use in place of the test set
   * (default: labelled images in `val/` beside `test/`, else the test set). 0 trains on all images.
   */
  validation?: number;
  /**
   * Epochs after which the validation images of a `validation` share join the training images. No test is made
   * then before the one that ends the run, which sees the test set (default: never).
   */
  validationUntil?: number;
}

/** How the parameters are learned. */
export interface TrainingConfiguration {
  batch: number;
  /** Batches whose gradients make one update, as if they were one of so many times the size (default 1). */
  accumulate?: number;
  epochs: number;
  /** Stops after this many steps, whatever the epoch; null: no such limit. */
  steps: number | null;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  schedule: Schedule;
  /** What changes at an epoch; left out: nothing. */
  events?: TrainingEvent[];
  seed: number;
}

/** Images whose gradients make one update. */
export function imagesPerStep({ batch, accumulate = 1 }: TrainingConfiguration): number {
  return batch * accumulate;
}

/** How a run is tested; left out: one crop, without dropout. */
export interface TestConfiguration {
  /**
   * Views of each image in the test that ends the run: its centre, or ten whose probabilities are averaged.
   * The tests between epochs see the centre.
   */
  crops: 1 | 10;
  /** Steps between tests inside an epoch, for epochs that take hours (default: none). */
  every?: number;
  /** Leave dropout on, as the seed's evaluation did by mistake. */
  dropout: boolean;
}

/** A recipe, complete: what `config.json` of a run holds. */
export interface Configuration {
  /** What reports call it; a preset's is its file's name. */
  name: string;
  /** Source of the recipe, and what differs from it. */
  comment: string;
  towers: number;
  network: NetworkSpecification;
  data: DataConfiguration;
  training: TrainingConfiguration;
  test: TestConfiguration;
}

/** Any fields of a `Configuration`; arrays are replaced whole. */
export type Overrides = DeepPartial<Configuration>;

/** Every field optional, at any depth; arrays are whole. */
export type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [Field in keyof T]?: DeepPartial<T[Field]> | undefined }
    : T;

export interface ConfigurationRequest {
  /** A name in `presetNames()`. Either this or `file`. */
  preset?: string | undefined;
  /** Path of a configuration file: complete, such as a run folder's `config.json`. */
  file?: string | undefined;
  overrides?: Overrides | undefined;
  /** `FIELD=VALUE` each, applied last and in order: a dotted field, and JSON or else a string. */
  settings?: readonly string[] | undefined;
}

const PRESETS = fileURLToPath(new URL('../../config/', import.meta.url));
const SCHEMA = 'schema.json';
/** Bytes of a configuration: a network of ten thousand layers. */
const LONGEST = 1 << 23;

/** Names of the presets in `config/`, sorted. */
export function presetNames(): string[] {
  return readdirSync(PRESETS)
    .filter((file) => file.endsWith('.json') && file !== SCHEMA)
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/**
 * The configuration that a request resolves to, checked before and after the overrides.
 *
 * @throws UserError for an unknown preset (listing those there are), a file that cannot be read or is
 *   not JSON, and the first field that the schema does not allow, with what it does
 */
export function loadConfiguration(request: ConfigurationRequest): Configuration {
  const path = pathOf(request);
  let configuration = checked(parsed(path), path);
  if (request.overrides !== undefined) {
    configuration = checked(merged(configuration, request.overrides), 'overrides');
  }
  for (const setting of request.settings ?? []) {
    configuration = checked(withSetting(configuration, setting), `--set ${setting}`);
  }
  return configuration;
}

function pathOf({ preset, file }: ConfigurationRequest): string {
  const presets = presetNames();
  const choice = `presets: ${presets.join(', ')}`;
  if (preset !== undefined && file !== undefined) {
    throw new UserError('--preset and --config cannot be given together; leave one out');
  }
  if (file !== undefined) return file;
  if (preset === undefined) throw new UserError(`give --preset NAME or --config FILE; ${choice}`);
  if (!presets.includes(preset)) throw new UserError(`no preset is called "${preset}"; ${choice}`);
  return `${PRESETS}${preset}.json`;
}

function parsed(path: string): unknown {
  const text = readSmallText(path, LONGEST);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is not valid JSON: ${messageOf(error)}`);
  }
}

/**
 * `base` with `changes` over it, both left as they are. Built by spreading with computed keys, which
 * make own properties even of `__proto__`, so that the schema sees and refuses it.
 */
function merged(base: unknown, changes: unknown): unknown {
  if (!isRecord(base) || !isRecord(changes)) return changes;
  let result = base;
  for (const [field, change] of Object.entries(changes)) {
    if (change === undefined) continue;
    const before = Object.hasOwn(base, field) ? base[field] : undefined;
    result = { ...result, [field]: merged(before, change) };
  }
  return result;
}

function withSetting(configuration: Configuration, setting: string): unknown {
  const equals = setting.indexOf('=');
  if (equals <= 0) {
    throw new UserError(`--set ${setting}: write FIELD=VALUE, such as training.batch=64`);
  }
  const fields = setting.slice(0, equals).split('.');
  return replaced(configuration, fields, valueOf(setting.slice(equals + 1)), setting);
}

/** JSON where it is JSON, else the text itself. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `container` with the field at the path replaced. A last field that is new is left to the schema. */
function replaced(
  container: unknown,
  [field, ...rest]: readonly string[],
  value: unknown,
  setting: string,
): unknown {
  if (field === undefined) return value;
  const isArray = Array.isArray(container);
  if (!isArray && !isRecord(container)) {
    throw new UserError(`--set ${setting}: there is no field "${field}" in a plain value`);
  }
  const there = Object.keys(container);
  if (!there.includes(field) && (isArray || rest.length > 0)) {
    const allowed = isArray ? `0 to ${there.length - 1}` : there.join(', ');
    throw new UserError(`--set ${setting}: there is no field "${field}"; allowed here: ${allowed}`);
  }
  const members = container as Record<string, unknown>;
  const member = replaced(members[field], rest, value, setting);
  if (isArray) return container.with(Number(field), member) as unknown[];
  return { ...members, [field]: member };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const validate = new Ajv({
  strict: true,
  allowUnionTypes: true,
  discriminator: true,
  verbose: true,
  useDefaults: true,
}).compile<Configuration>(parsed(`${PRESETS}${SCHEMA}`) as object);

/** `source` is the file or option that a message blames. */
function checked(candidate: unknown, source: string): Configuration {
  if (validate(candidate)) return candidate;
  // The last error is the outermost: after the branches of an `anyOf`, the `anyOf` itself.
  throw new UserError(`${source}: ${explanation(validate.errors!.at(-1)!)}`);
}

/** Which field is wrong, what it is and what is allowed; `network.layers.2.size` as --set writes it. */
function explanation(error: ErrorObject): string {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
  const field = (...last: string[]) => [...path, ...last].join('.') || 'the configuration';
  const parameters = error.params as Record<string, unknown>;
  const schema = error.parentSchema as {
    description?: string;
    properties?: object;
    oneOf?: { properties: { type: { const: string } } }[];
  };
  switch (error.keyword) {
    case 'required':
      return `${field(String(parameters.missingProperty))} is missing`;
    case 'additionalProperties': {
      const allowed = Object.keys(schema.properties ?? {}).join(', ');
      return `${field(String(parameters.additionalProperty))} is not a field; allowed here: ${allowed}`;
    }
    case 'discriminator': {
      const types = (schema.oneOf ?? []).map((branch) => branch.properties.type.const);
      const given = shown(parameters.tagValue);
      return `${field('type')} must be one of ${types.join(', ')}; it is ${given}`;
    }
    case 'enum': {
      const allowed = (parameters.allowedValues as string[]).join(', ');
      return `${field()} must be one of ${allowed}; it is ${shown(error.data)}`;
    }
    case 'const':
      return `${field()} must be ${shown(parameters.allowedValue)}; it is ${shown(error.data)}`;
    case 'anyOf':
      return `${field()} must be ${schema.description}; it is ${shown(error.data)}`;
    default:
      return `${field()} ${error.message}; it is ${shown(error.data)}`;
  }
}

/** A value as JSON, cut to what fits a line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
