/** How the kernels, units or classes of a layer are divided among the towers. */

/** A run of a layer's outputs. */
export interface OutputRange {
  first: number;
  count: number;
}

/**
 * The outputs that a rank holds: from ⌊rank · outputs / towers⌋ to before the next rank's first. Only classes may be
 * divided unevenly, so that any number of them fits any number of towers.
 */
export function outputsOfRank(outputs: number, rank: number, towers: number): OutputRange {
  const first = Math.floor((rank * outputs) / towers);
  return { first, count: Math.floor(((rank + 1) * outputs) / towers) - first };
}

/**
 * Which share of a layer a rank holds. A layer that is divided among towers alone is the same on each host of a hybrid.
 *
 * @param hosts among which the layer is divided, besides the towers
 */
export function shareOfRank(rank: number, towers: number, hosts: number): number {
  return rank % (towers * hosts);
}

/** Outputs of the rank that holds the most. */
export function largestShare(outputs: number, towers: number): number {
  return Math.ceil(outputs / towers);
}
