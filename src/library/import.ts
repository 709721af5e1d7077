/**
 * Makes a run of parameters from elsewhere: `importModel` of the package.
 *
 * Reads a PyTorch `state_dict` saved as safetensors. Its tensors are named after the network's layers
 * (`conv1.weight` … `fc3.bias`) and have PyTorch's layout, as `export` writes them and as a module with
 * those attributes has them. The kernels' shapes tell how many towers it was grouped by.
 */
import { rmSync } from 'node:fs';
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import type { CheckpointState } from '../runs/checkpoint_state.js';
import { INITIAL_PROGRESS } from '../runs/progress.js';
import { Run } from '../runs/run.js';
import { refuseTakenRunFolder } from '../runs/run_path.js';
import { verifyIfSummed } from '../checksums.js';
import { describeSafetensors, readSafetensors, refuseNotFinite } from '../runs/safetensors.js';
import type { DescribedTensor, TensorMap } from '../runs/safetensors.js';
import { differencesFrom } from '../runs/tensors.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

export interface ImportOptions extends Recipe {
  /** Towers of the network (default: as many as the file's kernels are grouped by). */
  towers?: number | undefined;
  /** New run folder (default: `runs/PRESET`, numbered if taken). */
  out?: string | undefined;
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

/**
 * Makes a run folder whose only checkpoint, of step 0, has the file's parameters and zero momentum. Every
 * function that takes a run takes it.
 *
 * @param file path of the safetensors file
 * @throws ModelDoesNotFit if a tensor is missing, left over, or of another shape or type; UserError if the
 *   file or an option cannot be read, or a value is not finite. Nothing is written then
 */
export async function importModel(file: string, options: ImportOptions): Promise<ImportedRun> {
  verifyIfSummed(file);
  const described = unwrapped(describeSafetensors(file));
  const asked = configurationOf(options);
  const towers =
    (asksForTowers(options) ? asked.towers : undefined) ??
    towersOf(described, asked) ??
    asked.towers;
  const configuration = { ...asked, towers };
  const network = buildNetwork(configuration.network, towers, configuration.data.classes);
  refuseDifferences(file, configuration, network, described);
  const stored = unwrapped(readSafetensors(file));
  refuseNotFinite(stored, file);
  if (options.out !== undefined) refuseTakenRunFolder(options.out);
  return {
    path: await writeRun(options.out, configuration, network, stored),
    towers,
    tensors: network.parameters.length,
    parameters: network.parameterCount,
  };
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
      index > 0 && 'reads' in specification && specification.reads === 'own',
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
  configuration: Configuration,
  network: Network,
  stored: TensorMap,
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
    classes: null,
    batch: training.batch,
    trainingImages: null,
    precision: null,
  };
  const run = Run.claim(out, configuration);
  try {
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
