import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { registerGradients } from '../../src/backend/gradients.js';
import { nativeIsPrepared } from '../../src/backend/native/addon.js';
import { registerNative } from '../../src/backend/native/native.js';
import type { OwnChannels } from '../../src/model/distribution.js';
import { buildNetwork } from '../../src/model/network.js';
import { gatherActivations, gatherLogits } from '../../src/parallel/collectives.js';
import { PeerMemoryTransport, connectPeers } from '../../src/parallel/peer_memory.js';
import { SlotCopyTransport, allocateSlotCopies } from '../../src/parallel/slot_copies.js';
import { Exchange } from '../../src/parallel/exchange.js';
import { allocateExchangeMemory } from '../../src/parallel/slots.js';
import type { Transport } from '../../src/parallel/exchange.js';
import type { ExchangeMemory } from '../../src/parallel/slots.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { BATCH, CLASSES, smallConfiguration } from './two_placements.js';

/** Sums of two float32 terms, in one order: exact. */
const WORKERS = [[0], [1]];
const network = buildNetwork(smallConfiguration(1, 2).network, 2, CLASSES);

/** The transports of all workers. */
type Connect = (memory: ExchangeMemory) => Transport[];

const byCopies: Connect = (memory) => {
  const copies = allocateSlotCopies(memory);
  return WORKERS.map(() => new SlotCopyTransport(copies));
};

const byPeerMemory: Connect = (memory) =>
  connectPeers(memory, WORKERS.length).map((peers) => new PeerMemoryTransport(memory, peers));

/**
 * Worker 0's end, with what worker 1 will have published put in its slots beforehand: the collectives
 * wait for nothing, so one thread can show both sides.
 */
function endWithPeer(connect: Connect, publish: (peer: Exchange) => void): Exchange {
  const memory = allocateExchangeMemory(network, WORKERS, BATCH);
  const [own, peer] = connect(memory).map(
    (transport, worker) => new Exchange(memory, transport, worker, WORKERS),
  ) as [Exchange, Exchange];
  peer.begin(1);
  own.begin(1);
  publish(peer);
  return own;
}

function noise(name: string, shape: number[]): OwnChannels {
  const random = new RandomSequence(deriveKey(5, name));
  const size = shape.reduce((product, extent) => product * extent, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => random.uniform() - 0.5),
    shape,
  ) as OwnChannels;
}

const flat = (tensor: tf.Tensor): number[] => [...tensor.dataSync<'float32'>()];

suite('through copies in shared memory', () => {
  before(async () => {
    registerGradients();
    await tf.setBackend('cpu');
  });
  collectivesTests(byCopies);
});

const skip = nativeIsPrepared() ? false : 'the native addon is not built here';

suite('from the memory of the other worker', { skip }, () => {
  before(async () => {
    registerGradients();
    registerNative(1);
    await tf.setBackend('native');
  });
  collectivesTests(byPeerMemory);
});

function collectivesTests(connect: Connect): void {
  test('gathered activations are both ranks’ channels in rank order', () => {
    const own = noise('own', [2, 3, 3, 8]);
    const other = noise('other', [2, 3, 3, 8]);
    const exchange = endWithPeer(connect, (peer) => peer.publish(other, 'conv3', 'forward', 1));
    const gathered = gatherActivations(exchange, 'conv3', [own]);
    assert.deepEqual(flat(gathered), flat(tf.concat([own, other], 3)));
  });

  test('the gradient of gathered activations is the sum of every worker’s, of one’s own channels', () => {
    const own = noise('own', [2, 3, 3, 8]);
    const here = noise('gradient here', [2, 3, 3, 16]);
    const there = noise('gradient there', [2, 3, 3, 8]);
    const exchange = endWithPeer(connect, (peer) => {
      peer.publish(noise('other', [2, 3, 3, 8]), 'conv3', 'forward', 1);
      peer.publish(there, 'conv3', 'backward', 1, 0);
    });
    const gradient = tf.grad((input) =>
      gatherActivations(exchange, 'conv3', [input as OwnChannels]),
    )(own, here);
    const expected = tf.add(tf.slice(here, [0, 0, 0, 0], [2, 3, 3, 8]), there);
    assert.deepEqual(flat(gradient), flat(expected));
  });

  test('the other rank is given the gradient of its channels', () => {
    const here = noise('gradient here', [2, 3, 3, 16]);
    const received: number[] = [];
    let peerEnd: Exchange | undefined;
    const exchange = endWithPeer(connect, (peer) => {
      peerEnd = peer;
      peer.publish(noise('other', [2, 3, 3, 8]), 'conv3', 'forward', 1);
      peer.publish(noise('there', [2, 3, 3, 8]), 'conv3', 'backward', 1, 0);
    });
    const own = noise('own', [2, 3, 3, 8]);
    tf.grad((input) => gatherActivations(exchange, 'conv3', [input as OwnChannels]))(own, here);
    received.push(...peerEnd!.read([144], 'conv3', 'backward', 0, 1).dataSync());
    assert.deepEqual(received, flat(tf.slice(here, [0, 0, 0, 8], [2, 3, 3, 8])));
  });

  test('the gradient of gathered logits is one’s own slice alone', () => {
    const own = noise('own', [4, 4]);
    const here = noise('gradient here', [4, 8]);
    const exchange = endWithPeer(connect, (peer) =>
      peer.publish(noise('other', [4, 4]), 'logits', 'forward', 1),
    );
    const gradient = tf.grad((input) => gatherLogits(exchange, [input as OwnChannels], 8))(
      own,
      here,
    );
    assert.deepEqual(flat(gradient), flat(tf.slice(here, [0, 0], [4, 4])));
  });
}

test('on one worker of one rank both are the identity, forward and backward', () => {
  const alone = buildNetwork(smallConfiguration(1, 1).network, 1, CLASSES);
  const exchange = new Exchange(
    allocateExchangeMemory(alone, [[0]], BATCH),
    new SlotCopyTransport({}),
    0,
    [[0]],
  );
  const own = noise('own', [4, 8]);
  const dy = noise('gradient', [4, 8]);
  for (const gather of [
    (input: tf.Tensor) => gatherActivations(exchange, 'fc1', [input as OwnChannels]),
    (input: tf.Tensor) => gatherLogits(exchange, [input as OwnChannels], CLASSES),
  ]) {
    assert.deepEqual(flat(gather(own)), flat(own));
    assert.deepEqual(flat(tf.grad(gather)(own, dy)), flat(dy));
  }
});
