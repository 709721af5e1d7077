/**
 * The sum of a worker's gradients over the replicas, while the backward pass goes on.
 *
 * A large gradient is on its way as soon as the backward pass has computed it: those of the fully-connected layers hold
 * nearly all of AlexNet's parameters and come first. The small ones go together at the end. All replicas compute the same
 * layers in the same order, so their sums match; and each gets the same bits, so their parameters stay equal.
 *
 * A batch that is computed in parts is summed once, in its last part: what is kept of the earlier ones is added before.
 */
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { Exchange } from './exchange.js';
import type { HeldParameters } from './held_parameters.js';
import type { ProcessGroup, SumTimes, Ticket } from './process_group.js';

/** Gradients with fewer elements than this travel together: each message has its cost. */
const LARGE = 1 << 16;

/** How often a waiting worker looks at the abort flag, milliseconds. */
const POLL_MS = 100;

/** Gradients on their way. */
interface Sum {
  ticket: Ticket;
  /** Gets the sum in place. */
  values: Float32Array;
  /** The tensor that has `values`; null if they are a copy. */
  tensor: tf.Tensor | null;
  times: SumTimes;
}

/** What the sums have cost, milliseconds. */
export interface ReductionCost {
  /** Sums under way: one at a time is. */
  communicationMs: number;
  /** Waiting for them. */
  waitMs: number;
}

export class GradientReduction {
  private readonly large: Map<number, tf.Variable>;
  private readonly small: tf.Variable[];
  /** By the weight's name. */
  private readonly sums = new Map<string, Sum>();
  private cost: ReductionCost = { communicationMs: 0, waitMs: 0 };

  /**
   * @param group one worker of each replica, which holds the same ranks
   * @param exchange says when another worker has failed, and records what this one is doing
   * @param parameters this worker's; the gradients of replicated ones are summed, any other one's is complete on this host
   */
  constructor(
    private readonly group: ProcessGroup,
    private readonly exchange: Exchange,
    private readonly parameters: HeldParameters,
  ) {
    const weights = parameters.replicatedWeights;
    this.small = weights.filter(({ size }) => size < LARGE);
    const large = weights.filter(({ size }) => size >= LARGE);
    this.large = new Map(large.map((weight) => [weight.id, weight]));
  }

  /**
   * Has the backward pass that follows send each large gradient as soon as it is computed. Must be called when the
   * forward pass of a batch's last part is on the tape.
   */
  watchTape(): void {
    for (const node of tf.engine().state.activeTape ?? []) {
      const read = Object.entries(node.inputs).filter(([, input]) => this.large.has(input.id));
      const { gradient } = node;
      if (read.length === 0 || gradient === undefined) continue;
      node.gradient = (gradients) => {
        const byInput = gradient(gradients);
        for (const [name, { id }] of read) {
          const compute = byInput[name]!;
          byInput[name] = () => {
            const computed = compute();
            this.beginLarge(this.large.get(id)!, computed);
            return computed;
          };
        }
        return byInput;
      };
    }
  }

  /**
   * Waits for all sums. The kept gradients of which they are part are discarded.
   *
   * @param gradients of the last part on this replica, by the weights' names; those that are summed are disposed
   * @returns the sums over the batch, and the gradients that are complete, by the weights' names
   * @throws ExchangeAborted if another worker or host fails meanwhile
   */
  finish(gradients: tf.NamedTensorMap): tf.NamedTensorMap {
    const small = this.beginSmall(gradients);
    const reduced = { ...gradients };
    for (const { name, shape } of this.large.values()) {
      const sum = this.sums.get(name)!;
      this.wait(`sum ${name}`, sum);
      reduced[name] = sum.tensor ?? tf.tensor(sum.values, shape, 'float32');
    }
    this.sums.clear();
    this.wait('sum of the small gradients', small);
    let at = 0;
    for (const { name, shape, size } of this.small) {
      reduced[name] = tf.tensor(small.values.slice(at, at + size), shape, 'float32');
      at += size;
    }
    for (const { name } of [...this.large.values(), ...this.small]) gradients[name]!.dispose();
    this.parameters.discard(({ hosts }) => hosts === 1);
    return reduced;
  }

  /** What the sums have cost since the last call. */
  takeCost(): ReductionCost {
    const { cost } = this;
    this.cost = { communicationMs: 0, waitMs: 0 };
    return cost;
  }

  private beginSmall(gradients: tf.NamedTensorMap): Sum {
    const bucket = sharedFloats(this.small.reduce((total, { size }) => total + size, 0));
    let at = 0;
    for (const weight of this.small) {
      const whole = this.ofAllParts(weight, gradients[weight.name]!);
      bucket.set(whole.dataSync<'float32'>(), at);
      if (whole !== gradients[weight.name]) whole.dispose();
      at += weight.size;
    }
    return this.begin(bucket, null);
  }

  /** The engine frees what is made in the backward pass, in which this is called. */
  private beginLarge(weight: tf.Variable, gradient: tf.Tensor): void {
    const whole = this.ofAllParts(weight, gradient);
    const shared = capabilities().sharedTensors;
    if (shared === undefined) {
      const values = sharedFloats(weight.size);
      values.set(whole.dataSync<'float32'>());
      this.sums.set(weight.name, this.begin(values, null));
      return;
    }
    // The gradient may have another shape here, as that of a reshaped weight.
    const flat = shared.inShareableMemory(whole);
    const tensor = tf.keep(tf.reshape(flat, weight.shape));
    flat.dispose();
    this.sums.set(weight.name, this.begin(shared.sharedValuesOf(tensor), tensor));
  }

  /** Adds what is kept of the batch's earlier parts. @returns `gradient` itself if there is nothing */
  private ofAllParts(weight: tf.Variable, gradient: tf.Tensor): tf.Tensor {
    const kept = this.parameters.gradientOf(weight);
    return kept === null
      ? gradient
      : tf.tidy(() => tf.add(tf.reshape(kept, gradient.shape), gradient));
  }

  private begin(values: Float32Array, tensor: tf.Tensor | null): Sum {
    const times = new Float64Array(2);
    return { ticket: this.group.allReduce(values, times), values, tensor, times };
  }

  private wait(name: string, { ticket, times }: Sum): void {
    const start = performance.now();
    while (!this.group.wait(ticket, POLL_MS)) this.exchange.throwIfAborted();
    this.cost.waitMs += performance.now() - start;
    const [began, ended] = times as unknown as [number, number];
    this.cost.communicationMs += (ended - began) / 1000;
    this.exchange.timeline?.communicated(name, began, ended);
  }
}

function sharedFloats(length: number): Float32Array<SharedArrayBuffer> {
  return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
}
