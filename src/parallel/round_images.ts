/** The images of a round: which of them this host computes, and which all hosts of a hybrid compute together. */
import type { Network } from '../model/network.js';
import { outputsOfRank } from '../model/shares.js';
import type { BatchShare } from './messages.js';

export interface RoundImages {
  /** Number of each host's, if each has its own; else that of all. */
  byHost: number[];
  /** Number of this host's. */
  own: number;
  /** Place of its first among those of all hosts. */
  before: number;
  /** Number of those over which the loss is a mean. */
  all: number;
}

/**
 * The hosts of a hybrid divide the images as evenly as they can. Each computes at least one, and as many as its share
 * has though some of a test could not be decoded: every host must know the numbers of the others. What is computed of
 * no image is left out.
 *
 * @param host position of this host in a hybrid, else 0
 */
export function imagesOfRound(
  { count, whole }: BatchShare,
  { hosts }: Network,
  host: number,
): RoundImages {
  if (hosts === 1) return { byHost: [count], own: count, before: 0, all: count };
  const byHost = Array.from({ length: hosts }, (_, index) =>
    Math.max(1, outputsOfRank(whole.count, index, hosts).count),
  );
  const before = byHost.slice(0, host).reduce((sum, images) => sum + images, 0);
  return { byHost, own: byHost[host]!, before, all: whole.count };
}
