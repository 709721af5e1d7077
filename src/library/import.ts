/**
 * Makes a run of parameters from elsewhere: `importModel` of the package.
 *
 * Reads a PyTorch `state_dict` saved as safetensors, and Caffe's `.caffemodel`. The tensors are named after the network's
 * layers (`conv1.weight` … `fc3.bias`) and have PyTorch's layout, as `export` writes them and as a module with those
 * attributes has them; torchvision's `alexnet` may have its own names (`features.0.weight` …). The kernels' shapes
 * tell how many towers it was grouped by.
 */
import { rmSync } from 'node:fs';
import type { Configuration } from '../configuration.js';
import type { DatasetStatistics } from '../data/statistics.js';
import { UserError } from '../errors.js';
import { buildNetwork, isParameterised } from '../model/network.js';
import type { Network } from '../model/network.js';
import type { CheckpointState } from '../runs/checkpoint_state.js';
import { INITIAL_PROGRESS } from '../runs/progress.js';
import { Run } from '../runs/run.js';
import { refuseTakenRunFolder } from '../runs/run_path.js';
import { verifyIfSummed } from '../checksums.js';
import { describeSafetensors, readSafetensors, refuseNotFinite } from '../runs/safetensors.js';
import type { DescribedTensor, TensorMap } from '../runs/safetensors.js';
import { keepStatistics } from '../runs/statistics.js';
import { differencesFrom } from '../runs/tensors.js';
import { isCaffeModel, readCaffeModel, withChannelsReversed } from './caffe_files.js';
import { withMean } from './caffe_mean.js';
import { readClassList } from './class_list.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

export interface ImportOptions extends Recipe {
  /** Towers of the network (default: as many as the file's kernels are grouped by). */
  towers?: number | undefined;
  /** New run folder (default: `runs/PRESET`, numbered if taken). */
  out?: string | undefined;
  /** File with the names of the classes, one per line (default: those of the data set). */
  classes?: string | undefined;
  /**
   * With a `.caffemodel`, the mean of its training images: Caffe's file (`.binaryproto`), or its values for blue, green
   * and red from 0 to 255, as `104,117,123`.
   */
  mean?: string | undefined;
}

/** The run that `importModel` made. */
export interface ImportedRun {
  /** The run folder, with a checkpoint at step 0. */
  path: string;
  towers: number;
  tensors: number;
  parameters: number;
}

/** A tensor that differs between the file and the network. */
export interface ModelDifference {
  name: string;
  /** Such as `F16 [96, 3, 11, 11]`; null if the file has none. */
  inFile: string | null;
  /** null if the network has none. */
  inNetwork: string | null;
}

/** The file's tensors are not the network's; `differences` lists all that do not fit. */
export class ModelDoesNotFit extends UserError {
  constructor(
    message: string,
    readonly differences: ModelDifference[],
  ) {
    super(message);
  }
}

/** What DataParallel, DistributedDataParallel and compile of PyTorch put before every name. */
const WRAPPERS = /^(module\.|_orig_mod\.)+/;

/** Modules of torchvision's `alexnet` that have parameters, and the layers of the preset `torchvision-alexnet`. */
const TORCHVISION_LAYERS: Record<string, string> = {
  'features.0': 'conv1',
  'features.3': 'conv2',
  'features.6': 'conv3',
  'features.8': 'conv4',
  'features.10': 'conv5',
  'classifier.1': 'fc1',
  'classifier.4': 'fc2',
  'classifier.6': 'fc3',
};

/** Parameters in a file. */
interface Source {
  described: Map<string, DescribedTensor>;
  read: () => TensorMap;
}

/**
 * Makes a run folder whose only checkpoint, of step 0, has the file's parameters and zero momentum. Every
 * function that takes a run takes it.
 *
 * @param file path of the safetensors file or `.caffemodel`
 * @throws ModelDoesNotFit if a tensor is missing, left over, or of another shape or type; UserError if the
 *   file or an option cannot be read, or a value is not finite. Nothing is written then
 */
export async function importModel(file: string, options: ImportOptions): Promise<ImportedRun> {
  const isCaffe = isCaffeModel(file);
  if (options.mean !== undefined && !isCaffe) {
    throw new UserError('--mean goes with a .caffemodel only: else set data.mean, with --set');
  }
  const recipe = configurationOf(options);
  const source = isCaffe ? caffeSource(file, recipe) : safetensorsSource(file);
  const { asked, statistics } = isCaffe
    ? withMean(recipe, options.mean)
    : { asked: recipe, statistics: null };
  const towers =
    (asksForTowers(options) ? asked.towers : undefined) ??
    towersOf(source.described, asked) ??
    asked.towers;
  const configuration = { ...asked, towers };
  const { classes } = configuration.data;
  const network = buildNetwork(configuration.network, towers, classes);
  const names = options.classes === undefined ? null : readClassList(options.classes, classes);
  refuseDifferences(file, configuration, network, source.described);
  const stored = source.read();
  refuseNotFinite(stored, file);
  if (options.out !== undefined) refuseTakenRunFolder(options.out);
  return {
    path: await writeRun(options.out, { configuration, network, stored, names, statistics }),
    towers,
    tensors: network.parameters.length,
    parameters: network.parameterCount,
  };
}

function safetensorsSource(file: string): Source {
  verifyIfSummed(file);
  return {
    described: renamed(describeSafetensors(file)),
    read: () => renamed(readSafetensors(file)),
  };
}

/** Caffe's images are blue, green and red; the first layer's kernels are turned round for ours. */
function caffeSource(file: string, { network: { layers } }: Configuration): Source {
  const tensors = readCaffeModel(file);
  const [first] = layers;
  const name = first?.type === 'conv' ? `${first.name}.weight` : '';
  const kernels = tensors.get(name);
  if (kernels?.shape.length === 4 && kernels.shape[1] === 3) {
    tensors.set(name, withChannelsReversed(kernels));
  }
  return {
    described: new Map([...tensors].map(([key, { shape }]) => [key, { dtype: 'F32', shape }])),
    read: () => tensors,
  };
}

/** Tensors under the names of a network's layers. */
function renamed<Tensor>(tensors: Map<string, Tensor>): Map<string, Tensor> {
  const plain = unwrapped(tensors);
  if (!plain.has('features.0.weight')) return plain;
  return new Map(
    [...plain].map(([name, tensor]) => {
      const dot = name.lastIndexOf('.');
      const layer = TORCHVISION_LAYERS[name.slice(0, dot)];
      return [layer === undefined ? name : layer + name.slice(dot), tensor];
    }),
  );
}

function unwrapped<Tensor>(tensors: Map<string, Tensor>): Map<string, Tensor> {
  const names = [...tensors.keys()];
  if (!names.every((name) => WRAPPERS.test(name))) return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name.replace(WRAPPERS, ''), tensor]));
}

/** The channels before a layer over those that its kernels read, at the first layer that reads its own tower. */
function towersOf(
  described: Map<string, DescribedTensor>,
  { network, data }: Configuration,
): number | undefined {
  const dense = buildNetwork(network, 1, data.classes);
  const own = dense.layers.find(
    ({ index, specification }) =>
      index > 0 && isParameterised(specification) && specification.reads === 'own',
  );
  if (own === undefined) return undefined;
  const weight = `${own.name}.weight`;
  const channels = dense.parameters.find(({ name }) => name === weight)!.shape[1]!;
  const towers = channels / (described.get(weight)?.shape[1] ?? Infinity);
  return towers >= 1 && Number.isInteger(towers) ? towers : undefined;
}

function refuseDifferences(
  file: string,
  { name: preset, towers }: Configuration,
  network: Network,
  described: Map<string, DescribedTensor>,
): void {
  const text = (dtype: string, shape: number[]): string => `${dtype} [${shape.join(', ')}]`;
  const otherTypes = network.parameters.flatMap(({ name, shape }) => {
    const stored = described.get(name);
    const differs = stored?.shape.join() === shape.join() && stored.dtype !== 'F32';
    return differs ? [{ name, stored, wanted: shape }] : [];
  });
  const differences = [...differencesFrom(network, described), ...otherTypes].map(
    ({ name, stored, wanted }) => ({
      name,
      inFile: stored === undefined ? null : text(stored.dtype, stored.shape),
      inNetwork: wanted === undefined ? null : text('F32', wanted),
    }),
  );
  if (differences.length === 0) return;
  const onlyTypes = differences.length === otherTypes.length;
  const remedy = onlyTypes
    ? 'save them as float32: {name: tensor.float() for name, tensor in state_dict.items()}'
    : 'rename or reshape them, or name the network they are of';
  throw new ModelDoesNotFit(
    `${file} does not fit ${preset} with ${towers} tower${towers === 1 ? '' : 's'}: ${differences.length} of its tensors differ; ${remedy}`,
    differences,
  );
}

/**
 * Writes the run folder whole or not at all.
 *
 * @returns its path
 */
async function writeRun(
  out: string | undefined,
  {
    configuration,
    network,
    stored,
    names,
    statistics,
  }: {
    configuration: Configuration;
    network: Network;
    stored: TensorMap;
    names: string[] | null;
    statistics: DatasetStatistics | null;
  },
): Promise<string> {
  const model: TensorMap = new Map();
  const optimizer: TensorMap = new Map();
  for (const { name, shape } of network.parameters) {
    const { data } = stored.get(name)!;
    model.set(name, { shape, data });
    const zeros = new Float32Array(new SharedArrayBuffer(data.byteLength));
    optimizer.set(name, { shape, data: zeros });
  }
  const { towers, data, training } = configuration;
  const state: CheckpointState = {
    progress: INITIAL_PROGRESS,
    seed: training.seed,
    towers,
    datasetName: data.source,
    classes: names,
    batch: training.batch,
    trainingImages: null,
    precision: null,
  };
  const run = Run.claim(out, configuration);
  try {
    keepStatistics(run.folder.path, statistics);
    run.save(state, { model, optimizer }, () => {});
    await run.written();
  } catch (error) {
    rmSync(run.folder.path, { recursive: true, force: true });
    throw error;
  } finally {
    await run.close();
  }
  return run.folder.path;
}
