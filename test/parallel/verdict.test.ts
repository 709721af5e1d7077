import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildNetwork } from '../../src/model/network.js';
import { Exchange, ExchangeAborted } from '../../src/parallel/exchange.js';
import { SlotCopyTransport } from '../../src/parallel/slot_copies.js';
import { abortExchange, allocateExchangeMemory } from '../../src/parallel/slots.js';
import { Verdicts } from '../../src/parallel/verdict.js';
import { BATCH, CLASSES, smallConfiguration } from './two_placements.js';

const WORKERS = [[0], [1, 2], [3]];
const network = buildNetwork(smallConfiguration(1, 4).network, 4, CLASSES);

/** The workers' ends, and what ends their waiting. */
function ends(): { verdicts: Verdicts[]; abort: () => void } {
  const memory = allocateExchangeMemory(network, WORKERS, BATCH);
  const verdicts = WORKERS.map((_, worker) => {
    return new Verdicts(memory, new Exchange(memory, new SlotCopyTransport({}), worker, WORKERS));
  });
  return { verdicts, abort: () => abortExchange(memory) };
}

for (const spoiled of [null, 0, 1, 2]) {
  const who = spoiled === null ? 'no worker' : `worker ${spoiled}`;
  test(`every worker learns that ${who} has something that is not finite`, () => {
    const { verdicts } = ends();
    for (const sequence of [1, 2]) {
      verdicts.forEach((end, worker) => end.give(sequence, worker !== spoiled));
      const learned = verdicts.map((end) => end.areAllFinite(sequence));
      assert.deepEqual(learned, Array(3).fill(spoiled === null));
    }
  });
}

test('a verdict of an earlier round does not count: the wait ends when another worker fails', () => {
  const { verdicts, abort } = ends();
  for (const end of verdicts) end.give(1, true);
  verdicts[0]!.give(2, true);
  abort();
  assert.throws(() => verdicts[0]!.areAllFinite(2), ExchangeAborted);
});
