/**
 * What hosts of a hybrid of AlexNet exchange in a step, by the program's own exchange and transport, with one worker per
 * host. What is exchanged is zeros, and nothing is made of it: only the bytes and the waiting for them are real.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { loadConfiguration } from '../src/configuration.js';
import { divideFullyConnected } from '../src/model/hybrid.js';
import { buildNetwork } from '../src/model/network.js';
import type { Layer, Network } from '../src/model/network.js';
import { largestShare } from '../src/model/shares.js';
import { Exchange } from '../src/parallel/exchange.js';
import { MpiTransport } from '../src/parallel/mpi_transport.js';
import type { ProcessGroup } from '../src/parallel/process_group.js';
import { SlotCopyTransport, allocateSlotCopies } from '../src/parallel/slot_copies.js';
import { allocateExchangeMemory } from '../src/parallel/slots.js';

export class HybridExchange {
  private readonly network: Network;
  private readonly exchange: Exchange;
  private sequence = 0;

  /**
   * @param world its processes are the hosts
   * @param images of each host
   */
  constructor(
    world: ProcessGroup,
    private readonly images: number,
  ) {
    const { network, towers, data } = loadConfiguration({ preset: 'alexnet-paper' });
    this.network = divideFullyConnected(buildNetwork(network, towers, data.classes), world.size);
    const workers = Array.from({ length: world.size }, (_, host) =>
      Array.from({ length: towers }, (_, tower) => host * towers + tower),
    );
    const memory = allocateExchangeMemory(this.network, workers, images);
    const copies = allocateSlotCopies(memory, ({ readers }) => readers.includes(world.rank));
    const hosts = { group: world.split(0).handle, workersPerHost: 1 };
    const within = new SlotCopyTransport(copies);
    const transport = new MpiTransport(within, copies, hosts, world.rank);
    this.exchange = new Exchange(memory, transport, world.rank, workers);
  }

  /** Whether a layer is divided among the hosts. */
  isDivided(name: string): boolean {
    return this.layer(name).hosts > 1;
  }

  /** Begins a step. */
  begin(): void {
    this.exchange.begin(++this.sequence);
    const ofHosts = this.exchange.allRanks.filter((rank) => rank % this.network.towers === 0);
    this.gather('labels', this.images, ofHosts);
  }

  /** Gathers what a layer reads, if it is divided. */
  forward(name: string): void {
    if (this.isDivided(name)) this.gather(name, this.floatsOf(name));
  }

  gatherLogits(): void {
    const { classes, towers, hosts } = this.network;
    this.gather('logits', hosts * this.images * largestShare(classes, towers * hosts));
  }

  /** Sums the gradient of what a divided layer reads. */
  backward(name: string): void {
    tf.tidy(() => {
      this.exchange.reduceScatter(name, {
        shape: [this.floatsOf(name)],
        termFor: () => tf.zeros([this.floatsOf(name)]),
        combine: (_, terms) => terms[0]!,
      });
    });
  }

  private gather(name: string, floats: number, ranks = this.exchange.allRanks): void {
    tf.tidy(() => {
      const own = this.exchange.ranks.map(() => tf.zeros([floats]));
      this.exchange.allGather(
        name,
        own,
        () => [floats],
        (blocks) => blocks[0]!,
        ranks,
      );
    });
  }

  /** What a rank has of a layer's input: of its host's images, or of all images as many times fewer channels. */
  private floatsOf(name: string): number {
    const { height, width, channels } = this.layer(name).input;
    return (this.images * height * width * channels) / this.network.towers;
  }

  private layer(name: string): Layer {
    return this.network.layers.find((layer) => layer.name === name)!;
  }
}
