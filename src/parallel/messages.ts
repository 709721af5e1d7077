/**
 * What the coordinator and the tower workers say to each other. A message is msgpackr bytes, with the
 * shared buffers that it speaks of beside it: those travel by reference. Replies are msgpackr bytes.
 */
import type { MessagePort } from 'node:worker_threads';
import { Packr } from 'msgpackr';
import type { BackendName, Device, Precision } from '../backend/backend.js';
import type { NetworkSpecification } from '../model/layers.js';
import type { PeerConnections } from './peer_memory.js';
import type { SlotCopies } from './slot_copies.js';
import type { Span } from './timeline.js';
import type { ExchangeMemory } from './slots.js';

/** Prepares a worker; the first command it gets. */
export interface OpenCommand {
  kind: 'open';
  specification: NetworkSpecification;
  towers: number;
  classes: number;
  /** The ranks of every worker. */
  workers: number[][];
  /** Which of them this one is. */
  worker: number;
  backend: BackendName;
  device: Device;
  precision: Precision;
  threads: number;
  /** Seed of initialization and dropout. */
  seed: number;
  mean: number[];
  std: number[];
  /** float32 `[height, width, 3]`, subtracted from the image that `mean` and `std` make; null: none. */
  meanImage: Float32Array | null;
  /** Keep a timeline, for `spans` to fetch. */
  traced: boolean;
}

/** Forward and backward of one mini-batch; the gradients are held until `commit` or `discard`. */
export interface ComputeCommand {
  kind: 'compute';
  step: number;
  /** Number of this round of exchanges; grows by one. */
  sequence: number;
  /** Images in the batch. */
  count: number;
  /** Measure the peak of tensor memory in this step, which slows it. */
  measurePeak: boolean;
}

/** Applies the held gradients. */
export interface CommitCommand {
  kind: 'commit';
  learningRate: number;
  /** By parameter's name, in place of the network's own multipliers of the rate. */
  multipliers?: Record<string, number>;
  momentum: number;
  weightDecay: number;
}

export type Command =
  | OpenCommand
  | ComputeCommand
  | CommitCommand
  | { kind: 'discard' }
  /** Forward only: dropout off; or, with `step`, under that training step's dropout masks. */
  | { kind: 'evaluate'; sequence: number; count: number; step: number | null }
  /** Forward only, as in training step `step`: where something first is not finite. */
  | { kind: 'locate'; sequence: number; count: number; step: number }
  /** Forward only, dropout off, for a look inside. */
  | { kind: 'inspect'; sequence: number; count: number }
  /** Copies parameters and velocities between this worker's ranks and the shared canonical tensors. */
  | { kind: 'store' }
  | { kind: 'load' }
  /** Sum of squares of each held gradient, over this worker's ranks. */
  | { kind: 'gradientSquares' }
  /** parameter ← parameter + scale × held gradient. */
  | { kind: 'perturb'; parameter: string; scale: number }
  /** Fetches what the worker did since the last time, for the trace. */
  | { kind: 'spans' }
  | { kind: 'memory' };

/** Shared buffers that go with a command. */
export interface SharedBuffers {
  exchange?: ExchangeMemory;
  /** How values get across: by copies, or where they lie. */
  copies?: SlotCopies;
  peers?: PeerConnections;
  /** uint8 `[count, height, width, 3]`. */
  pixels?: SharedArrayBuffer;
  /** int32 `[count]`. */
  labels?: SharedArrayBuffer;
  /** float32 `[count, 3]`: colour noise, for pixels from 0 to 1; undefined: none. */
  colours?: SharedArrayBuffer | undefined;
  /** Canonical whole parameters and velocities by name, float32. */
  parameters?: Record<string, SharedArrayBuffer>;
  velocities?: Record<string, SharedArrayBuffer>;
}

export interface WireMessage {
  command: Uint8Array;
  buffers: SharedBuffers;
}

export interface OpenReply {
  /** The tfjs backend and what it runs on. */
  backend: string;
  /** Parameters that this worker holds. */
  parameters: number;
}

/** Milliseconds of one step on one worker; the exchange parts are not in forward and backward. */
export interface StepTiming {
  forwardMs: number;
  backwardMs: number;
  exchangeCopyMs: number;
  exchangeWaitMs: number;
  /** Bytes read from other ranks. */
  exchangeBytes: number;
}

/** A rank's layer where something is not finite. */
export interface NotFinitePlace {
  rank: number;
  /** Position of the layer in the network; one past the last: only the loss. */
  layer: number;
}

export interface ComputeReply {
  loss: number;
  /** Images of the batch whose largest logit is the label's. */
  correct: number;
  /** Null if loss and gradients all are finite. */
  notFinite: NotFinitePlace | null;
  timing: StepTiming;
  /** Most bytes of tensors alive at once; 0 unless asked for. */
  peakBytes: number;
}

export interface EvaluateReply {
  /** float32 `[count, classes]`. */
  logits: Float32Array;
}

export interface InspectReply extends EvaluateReply {
  /** float32 `[count, units]`: what the last layer reads, the activations of the last hidden one. */
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
  evaluate: EvaluateReply;
  /** The first output, in forward order; null where all are finite. */
  locate: NotFinitePlace | null;
  inspect: InspectReply;
  store: StoreReply;
  load: null;
  gradientSquares: Record<string, number>;
  perturb: null;
  spans: Span[];
  /** Of tensors, and what the backend's pool holds for them and for later ones, 0 where there is none. */
  memory: { tensors: number; bytes: number; pooledBytes: number };
}

/** `moreTypes` keeps a Float32Array one. */
const packr = new Packr({ useRecords: false, moreTypes: true });

export function encodeCommand(command: Command, buffers: SharedBuffers): WireMessage {
  return { command: copyOf(packr.pack(command)), buffers };
}

/** What goes with a command and is the worker's from then on. */
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

/** msgpackr returns a view of a larger pooled buffer; a structured clone would copy all of that. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
