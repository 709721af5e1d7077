/**
 * Parameters from elsewhere as a run: `importModel` of the package, and all that the command `import` does.
 *
 * Reads a PyTorch `state_dict` saved as safetensors, its tensors named after the network's layers
 * (`conv1.weight` … `fc3.bias`) and in PyTorch's layout: what `export` writes, and what a module with
 * those attributes has. How many towers it was grouped by shows in the kernels' shapes.
 */
import { rmSync } from 'node:fs';
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import { differencesFrom, initialState, saveCheckpoint } from '../runs/checkpoint.js';
import { claimRunFolder, refuseTakenRunFolder } from '../runs/run_folder.js';
import { verifyIfSummed } from '../checksums.js';
import { describeSafetensors, readSafetensors } from '../runs/safetensors.js';
import type { DescribedTensor, TensorMap } from '../runs/safetensors.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

export interface ImportOptions extends Recipe {
  /** Towers of the network; without it as many as the file's kernels are grouped by. */
  towers?: number | undefined;
  /** New run folder; without it `runs/PRESET`, numbered if taken. */
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

/** A tensor that the file and the network do not have alike. */
export interface ModelDifference {
  name: string;
  /** Such as `F16 [96, 3, 11, 11]`; null where the file has none. */
  inFile: string | null;
  /** null where the network has none. */
  inNetwork: string | null;
}

/** The file's tensors are not the network's; `differences` lists every one that does not fit. */
export class ModelDoesNotFit extends UserError {
  constructor(
    message: string,
    readonly differences: ModelDifference[],
  ) {
    super(message);
  }
}

/** What PyTorch puts before every name: DataParallel, DistributedDataParallel and compile. */
const WRAPPERS = /^(module\.|_orig_mod\.)+/;

/**
 * Makes a run folder whose first checkpoint holds the file's parameters, without momentum: `evaluate`,
 * `export` and `train` (with `resume`, or its `model.safetensors` as `init`) take it as any other.
 *
 * @param file path of the safetensors file
 * @throws ModelDoesNotFit where a tensor is missing, left over, or of another shape or type;
 *   UserError for a file or an option that cannot be read. Nothing is written then
 */
export function importModel(file: string, options: ImportOptions): ImportedRun {
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
  if (options.out !== undefined) refuseTakenRunFolder(options.out);
  return {
    path: writeRun(options.out, configuration, network, stored),
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

/** How often the file's kernels go into the channels before them, at the first layer that reads its own tower. */
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
 * All of the folder or nothing: it was absent or empty.
 * @returns its path
 */
function writeRun(
  out: string | undefined,
  configuration: Configuration,
  network: Network,
  stored: TensorMap,
): string {
  const model: TensorMap = new Map();
  const optimizer: TensorMap = new Map();
  for (const { name, shape } of network.parameters) {
    const { data } = stored.get(name)!;
    model.set(name, { shape, data });
    optimizer.set(name, { shape, data: new Float32Array(data.length) });
  }
  const { run, lock } = claimRunFolder(out, configuration);
  try {
    saveCheckpoint(run, { state: initialState(configuration), model, optimizer });
  } catch (error) {
    rmSync(run.path, { recursive: true, force: true });
    throw error;
  } finally {
    lock.release();
  }
  return run.path;
}
