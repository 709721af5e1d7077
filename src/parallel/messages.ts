/**
 * What the coordinator and the tower workers say to each other. A command is msgpackr bytes, with the shared buffers
 * that it is about beside it, because those travel by reference. A reply is msgpackr bytes.
 */
import type { MessagePort } from 'node:worker_threads';
import { Packr } from 'msgpackr';
import type { BackendName, Device } from '../backend/backend.js';
import type { DecodedBytes } from '../backend/capabilities.js';
import type { ImageViews } from '../image_views.js';
import type { ConvolutionPassAlgorithm } from '../backend/native/addon_layers.js';
import type { ComputingGpu, GpuMember } from '../backend/capabilities.js';
import type { Precision } from '../backend/numerics.js';
import type { NetworkSpecification } from '../model/layers.js';
import type { HostConnection } from './mpi_transport.js';
import type { PeerConnections } from './peer_memory.js';
import type { GroupHandle } from './process_group.js';
import type { UpdateRuleOfRun } from './sgd.js';
import type { GpuPlaces } from './gpu_memory.js';
import type { SlotCopies } from './slot_copies.js';
import type { Span } from './timeline.js';
import type { ExchangeMemory } from './slots.js';

/**
 * Who sums the gradients of GPU workers over hosts: MPI, which reads copies in the host's memory or the GPU's memory itself, or
 * NCCL.
 */
export type GradientRoute = 'MPI, host memory' | 'MPI, GPU memory' | 'NCCL';

/** Prepares a worker; its first command. */
export interface OpenCommand {
  kind: 'open';
  specification: NetworkSpecification;
  towers: number;
  classes: number;
  /** The ranks of every worker of the replica, on all its hosts. */
  workers: number[][];
  /** Position of this worker among them. */
  worker: number;
  backend: BackendName;
  device: Device;
  precision: Precision;
  /** How the native backend computes these passes, instead of by the cheapest algorithm. */
  keptAlgorithms: readonly ConvolutionPassAlgorithm[];
  threads: number;
  /** Part of the GPU's memory that the worker may hold, from 0 to 1. */
  gpuMemory: number;
  /** Seed of initialization and dropout. */
  seed: number;
  /** Mean of each channel of the image, for pixels from 0 to 1. */
  mean: number[];
  /** Standard deviation of each channel. */
  std: number[];
  /** float32 `[height, width, 3]`, subtracted from the image after `mean` and `std` are applied; null if none. */
  meanImage: Float32Array | null;
  /** Keep a timeline, for `spans` to fetch. */
  traced: boolean;
  /** Wait for the update of each step, so that its time is the device's. */
  timed: boolean;
  /** Hosts among which the fully-connected layers are divided, each with its own images; 1 but in a hybrid. */
  fullyConnectedHosts: number;
  /** The hosts of the replica; null if it has one. */
  hosts: HostConnection | null;
  /** The workers of all hosts with the same kernels and other images; null if there are none. */
  replicas: GroupHandle | null;
}

/** A share of a batch: a part that is computed on its own, a replica's, or the whole of it. */
export interface BatchShare {
  /** Images in the share. */
  count: number;
  /** Place of its first image in the batch. */
  first: number;
  /** Images in the batch. */
  of: number;
  /** The images that all hosts compute together: the batch, or a part of it. */
  whole: { count: number; first: number };
}

/**
 * Runs forward and backward on one mini-batch. The gradients are kept until `commit` or `discard`, unless the workers
 * are to update by them themselves.
 */
export interface ComputeCommand extends BatchShare {
  kind: 'compute';
  step: number;
  /** Number of this round of exchanges; each round's is larger by one. */
  sequence: number;
  /** Add the gradients to those that are kept. */
  accumulates: boolean;
  /** Measure the peak of tensor memory in this step, which slows it. */
  measurePeak: boolean;
  /** What to update by, once all workers have found everything finite; null if that is not theirs to decide. */
  rule: UpdateRuleOfRun | null;
}

/** A forward pass, in round `sequence`. */
export interface ForwardCommand extends BatchShare {
  sequence: number;
}

export type Command =
  | OpenCommand
  | ComputeCommand
  /** Applies the kept gradients. */
  | ({ kind: 'commit' } & UpdateRuleOfRun)
  | { kind: 'discard' }
  /** Sums gradients over the hosts in this way from now on. */
  | { kind: 'route'; route: GradientRoute }
  /** Computes logits: with the dropout masks of training step `step`; null leaves dropout off. */
  | ({ kind: 'logits'; step: number | null } & ForwardCommand)
  /** Repeats the forward pass of training step `step` to find where something first is not finite. */
  | ({ kind: 'locate'; step: number } & ForwardCommand)
  /** Computes logits and the last hidden activations, with dropout off. */
  | ({ kind: 'inspect' } & ForwardCommand)
  /** Copies parameters and momentum buffers of this worker's ranks into the shared whole tensors. */
  | { kind: 'store' }
  /** Copies them from the shared whole tensors. */
  | { kind: 'load' }
  /** Sums the squares of each kept gradient over this worker's ranks. */
  | { kind: 'gradientSquares' }
  /** parameter ← parameter + scale × kept gradient. */
  | { kind: 'perturb'; parameter: string; scale: number }
  /** Fetches what the worker has done since the last `spans`, for the trace. */
  | { kind: 'spans' }
  | { kind: 'memory' };

/** Shared buffers beside a command; which of them are there depends on its kind. */
export interface SharedBuffers {
  exchange?: ExchangeMemory;
  /** Memory of the slots whose values are copied: for the transport that copies, and for what other hosts send. */
  copies?: SlotCopies;
  /** For the transport without copies, on the CPU. */
  peers?: PeerConnections;
  /** The same on GPUs. */
  gpuPlaces?: GpuPlaces;
  /** uint8 `[count, height, width, 3]`; with `views` of the images' own size, else of the network's input. */
  pixels?: SharedArrayBuffer;
  /** What the network sees of each image. */
  views?: ImageViews | undefined;
  /** Serial number of the bytes in `pixels`; undefined if they are not uploaded early. */
  serial?: number | undefined;
  /** What is likely to be computed next. The bytes do not change before the reply. */
  next?: DecodedBytes | undefined;
  /** int32 `[count]`. */
  labels?: SharedArrayBuffer;
  /** float32 `[count, 3]`: PCA colour augmentation, for pixels from 0 to 1; undefined if there is none. */
  colours?: SharedArrayBuffer | undefined;
  /** Whole tensors in canonical layout by parameter name, float32. */
  parameters?: Record<string, SharedArrayBuffer>;
  /** The same of the momentum buffers. */
  velocities?: Record<string, SharedArrayBuffer>;
}

export interface WireMessage {
  command: Uint8Array;
  buffers: SharedBuffers;
}

/** A GPU as a worker finds it, once its parameters are there. Memory in bytes. */
export interface OpenedGpu extends ComputingGpu {
  bytes: number;
  freeBytes: number;
}

export interface OpenReply {
  /** Name and versions of the backend. */
  backend: string;
  /** Number of parameters that this worker holds. */
  parameters: number;
  /** Absent unless it computes on a GPU with the native backend. */
  gpu?: OpenedGpu;
  /** The same, and unless gradients are summed over hosts. */
  member?: GpuMember;
}

/** The parts of one step on one worker, milliseconds. Forward and backward include neither exchange nor waiting. */
export interface StepTiming {
  forwardMs: number;
  backwardMs: number;
  exchangeCopyMs: number;
  /** Waiting for other workers of this host. */
  exchangeWaitMs: number;
  /** Bytes read from other ranks. */
  exchangeBytes: number;
  /**
   * Communication with other hosts under way: exchanges, and sums of gradients, of which most goes on during the backward
   * pass; 0 on one host.
   */
  communicationMs: number;
  /** Of that, what this worker has waited for: what computing has not hidden. */
  exposedMs: number;
  /** Bytes of its GPU's memory that the worker holds; absent if it computes on none with the native backend. */
  gpuBytes?: number;
  /** How the GPU is used, in lines for whoever wants to know; absent if there is nothing to say. */
  notes?: string[];
}

/** Where something is not finite. */
export interface NotFinitePlace {
  rank: number;
  /** Position of the layer in the network; one past the last if only the loss is not finite. */
  layer: number;
  /** What of the layer it is. */
  of: 'parameter' | 'gradient' | 'output' | 'loss';
}

export interface ComputeReply {
  /** This replica's term of the mean loss over the batch. */
  loss: number;
  /** Images of the replica whose largest logit is the label's. */
  correct: number;
  /** Null if the loss and all gradients are finite. */
  notFinite: NotFinitePlace | null;
  timing: StepTiming;
  /** Most bytes of tensors alive at once; 0 unless measured. */
  peakBytes: number;
  /** Milliseconds of the update, on a GPU of asking for it unless the worker is timed; null if there was none. */
  updateMs: number | null;
}

export interface LogitsReply {
  /** float32 `[count, classes]` of this host's images. */
  logits: Float32Array;
}

export interface InspectReply extends LogitsReply {
  /** float32 `[count, units]`: the activations of the last hidden layer, which the last layer reads. */
  features: Float32Array;
}

export interface StoreReply {
  /** Names of the tensors, parameters or momentum buffers, of which this worker's share is not finite. */
  notFinite: string[];
}

/** The reply to each kind of command. */
export interface Replies {
  open: OpenReply;
  compute: ComputeReply;
  commit: { updateMs: number };
  discard: null;
  route: null;
  logits: LogitsReply;
  /** The first output that is not finite, in forward order; null if all are. */
  locate: NotFinitePlace | null;
  inspect: InspectReply;
  store: StoreReply;
  load: null;
  gradientSquares: Record<string, number>;
  perturb: null;
  spans: Span[];
  /** Number and bytes of tensors; bytes of the backend's pool, 0 if it has none. */
  memory: { tensors: number; bytes: number; pooledBytes: number };
}

/** `moreTypes` keeps a Float32Array what it is. */
const packr = new Packr({ useRecords: false, moreTypes: true });

export function encodeCommand(command: Command, buffers: SharedBuffers): WireMessage {
  return { command: copyOf(packr.pack(command)), buffers };
}

/** Ports that are the worker's alone once it has the command. */
export function transferListOf({ peers }: SharedBuffers): MessagePort[] {
  return peers?.ports.filter((port) => port !== null) ?? [];
}

export function decodeCommand(message: WireMessage): Command {
  return packr.unpack(message.command) as Command;
}

export function encodeReply(reply: unknown): Uint8Array {
  return copyOf(packr.pack(reply));
}

export function decodeReply<Kind extends keyof Replies>(bytes: Uint8Array): Replies[Kind] {
  return packr.unpack(bytes) as Replies[Kind];
}

/** Copies the bytes: msgpackr returns a view of a large pooled buffer, which a structured clone would copy whole. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
