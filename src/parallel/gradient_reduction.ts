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
import { type Exchange, POLL_MS } from './exchange.js';
import type { GradientRoute } from './messages.js';
import type { HeldParameters } from './held_parameters.js';
import { gradientSumsOn } from './gradient_sums.js';
import type { GradientSums, PendingSum } from './gradient_sums.js';
import type { ProcessGroup } from './process_group.js';
import { throwIfDeviceFailed } from './summand.js';

/** Gradients with fewer elements than this travel together: each message has its cost. */
const LARGE = 1 << 16;

/** Key of the sum of the small gradients, among the weights' names. */
const SMALL = 'of the small gradients';

export class GradientReduction {
  private readonly large: Map<number, tf.Variable>;
  private readonly small: tf.Variable[];
  /** By the weight's name, or `SMALL`, in the order in which they were begun. */
  private readonly pending = new Map<string, PendingSum>();
  private sums: GradientSums;
  private summingMs = 0;

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
    this.sums = this.sumsOn('MPI, host memory');
  }

  /** Sums gradients on this way from now on. A collective of the group. */
  take(route: GradientRoute): void {
    this.sums = this.sumsOn(route);
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
   * Takes all sums, for which the device may still wait: see `settle`. The kept gradients of which they are part are discarded.
   *
   * @param gradients of the last part on this replica, by the weights' names; those that are summed are disposed
   * @returns the sums over the batch, and the gradients that are complete, by the weights' names
   * @throws ExchangeAborted if another worker or host fails meanwhile
   */
  finish(gradients: tf.NamedTensorMap): tf.NamedTensorMap {
    if (this.small.length > 0) this.begin(SMALL, this.joinedSmall(gradients));
    const reduced = { ...gradients };
    for (const [name, sum] of this.pending) {
      const summed = this.exchange.cost.spend('sumsWaitMs', () => this.waitFor(name, sum));
      if (name === SMALL) Object.assign(reduced, this.dividedSmall(summed));
      else reduced[name] = summed;
    }
    this.pending.clear();
    for (const { name } of [...this.large.values(), ...this.small]) gradients[name]!.dispose();
    this.parameters.discard(({ hosts }) => hosts === 1);
    return reduced;
  }

  /**
   * Waits until the device no longer waits for a sum. Must be called before something is read from it that was computed of sums:
   * reading cannot be given up.
   *
   * @throws ExchangeAborted if another worker or host fails meanwhile
   */
  settle(): void {
    while (!this.sums.areDone(POLL_MS)) this.exchange.throwIfAborted();
  }

  /** How long sums were under way since the last call, milliseconds: one at a time is. To be called when they are settled. */
  takeSummingMs(): number {
    const { summingMs } = this;
    this.summingMs = 0;
    return summingMs + this.sums.takeDeviceMs();
  }

  private sumsOn(route: GradientRoute): GradientSums {
    return gradientSumsOn(route, this.group, () => this.exchange.throwIfAborted());
  }

  private joinedSmall(gradients: tf.NamedTensorMap): tf.Tensor {
    return tf.tidy(() => {
      const wholes = this.small.map((weight) => this.ofAllParts(weight, gradients[weight.name]!));
      return tf.concat(wholes.map((whole) => tf.reshape<tf.Rank.R1>(whole, [whole.size])));
    });
  }

  /** @param joined is disposed */
  private dividedSmall(joined: tf.Tensor): tf.NamedTensorMap {
    const divided: tf.NamedTensorMap = {};
    let at = 0;
    for (const { name, shape, size } of this.small) {
      divided[name] = tf.tidy(() => tf.reshape(tf.slice(joined, [at], [size]), shape));
      at += size;
    }
    joined.dispose();
    return divided;
  }

  /** The engine frees what is made in the backward pass, in which this is called. */
  private beginLarge(weight: tf.Variable, gradient: tf.Tensor): void {
    // The gradient may have another shape here, as that of a reshaped weight.
    this.begin(weight.name, tf.reshape(this.ofAllParts(weight, gradient), weight.shape));
  }

  /** Adds what is kept of the batch's earlier parts. @returns `gradient` itself if there is nothing */
  private ofAllParts(weight: tf.Variable, gradient: tf.Tensor): tf.Tensor {
    const kept = this.parameters.gradientOf(weight);
    return kept === null
      ? gradient
      : tf.tidy(() => tf.add(tf.reshape(kept, gradient.shape), gradient));
  }

  /** @param gradient is disposed */
  private begin(name: string, gradient: tf.Tensor): void {
    this.pending.set(name, this.sums.begin(name, gradient));
    gradient.dispose();
  }

  private waitFor(name: string, sum: PendingSum): tf.Tensor {
    while (!sum.isDone(POLL_MS)) {
      this.exchange.throwIfAborted();
      throwIfDeviceFailed();
    }
    if (sum.times !== null) {
      const [began, ended] = sum.times as unknown as [number, number];
      this.summingMs += (ended - began) / 1000;
      this.exchange.timeline?.communicated(`sum ${name}`, began, ended);
    }
    return sum.take();
  }
}
