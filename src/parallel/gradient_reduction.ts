/**
 * The sum of a worker's gradients over the replicas, while the backward pass goes on.
 *
 * A large gradient is on its way as soon as the backward pass has computed it: those of the fully-connected layers hold
 * nearly all of AlexNet's parameters and come first. The small ones go together at the end. All replicas compute the same
 * layers in the same order, so their sums match; and each gets the same bits, so their parameters stay equal.
 */
import * as tf from '@tensorflow/tfjs-core';
import { capabilities } from '../backend/capabilities.js';
import type { Exchange } from './exchange.js';
import type { ProcessGroup, Ticket } from './process_group.js';

/** Gradients with fewer elements than this travel together: each message has its cost. */
const LARGE = 1 << 16;

/** How often a waiting worker looks at the abort flag, milliseconds. */
const POLL_MS = 100;

/** A gradient on its way. */
interface Sum {
  ticket: Ticket;
  /** Gets the sum in place. */
  values: Float32Array;
  /** The tensor that has `values`; null if they are a copy. */
  tensor: tf.Tensor | null;
}

export class GradientReduction {
  private readonly large: Map<number, tf.Variable>;
  private readonly small: tf.Variable[];
  /** By the weight's name. */
  private readonly sums = new Map<string, Sum>();

  /**
   * @param group one worker of each replica, which holds the same ranks
   * @param exchange says when another worker has failed, and records what this one is doing
   * @param weights this worker's whose gradients are summed; any other one's is complete on this host
   */
  constructor(
    private readonly group: ProcessGroup,
    private readonly exchange: Exchange,
    weights: tf.Variable[],
  ) {
    this.small = weights.filter(({ size }) => size < LARGE);
    const large = weights.filter(({ size }) => size >= LARGE);
    this.large = new Map(large.map((weight) => [weight.id, weight]));
  }

  /**
   * Has the backward pass that follows send each large gradient as soon as it is computed. Must be called when the
   * forward pass is on the tape.
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
            this.begin(this.large.get(id)!, computed);
            return computed;
          };
        }
        return byInput;
      };
    }
  }

  /**
   * Waits for all sums.
   *
   * @param gradients of this replica, by the weights' names; those that are summed are disposed
   * @returns the sums and the complete ones, by the weights' names
   * @throws ExchangeAborted if another worker or host fails meanwhile
   */
  finish(gradients: tf.NamedTensorMap): tf.NamedTensorMap {
    const bucket = new Float32Array(
      new SharedArrayBuffer(4 * this.small.reduce((total, { size }) => total + size, 0)),
    );
    let at = 0;
    for (const { name, size } of this.small) {
      bucket.set(gradients[name]!.dataSync<'float32'>(), at);
      at += size;
    }
    const ticket = this.group.allReduce(bucket);
    const reduced = { ...gradients };
    for (const { name, shape } of this.large.values()) {
      const { ticket: own, tensor, values } = this.sums.get(name)!;
      this.wait(own);
      reduced[name] = tensor ?? tf.tensor(values, shape, 'float32');
    }
    this.sums.clear();
    this.wait(ticket);
    at = 0;
    for (const { name, shape, size } of this.small) {
      reduced[name] = tf.tensor(bucket.slice(at, at + size), shape, 'float32');
      at += size;
    }
    for (const { name } of [...this.large.values(), ...this.small]) gradients[name]!.dispose();
    return reduced;
  }

  private begin(weight: tf.Variable, gradient: tf.Tensor): void {
    const shared = capabilities().sharedTensors;
    if (shared === undefined) {
      const values = new Float32Array(new SharedArrayBuffer(4 * weight.size));
      values.set(gradient.dataSync<'float32'>());
      this.sums.set(weight.name, { ticket: this.group.allReduce(values), values, tensor: null });
      return;
    }
    // The gradient may have another shape here, as that of a reshaped weight.
    const flat = shared.inShareableMemory(gradient);
    const tensor = tf.keep(tf.reshape(flat, weight.shape));
    flat.dispose();
    const values = shared.sharedValuesOf(tensor);
    this.sums.set(weight.name, { ticket: this.group.allReduce(values), values, tensor });
  }

  private wait(ticket: Ticket): void {
    while (!this.group.wait(ticket, POLL_MS)) this.exchange.throwIfAborted();
  }
}
