/** Functions of the GPUs' addon that sum over processes by NVIDIA's NCCL, where its library is found. */

/** The calling thread is a member of one group at most. */
export interface NcclFunctions {
  /** Opens the library; fails if it is not found or does not load. */
  ncclLibrary(): { version: string; file: string };
  /** Makes up the id of a group. @param id 128 bytes, which are overwritten */
  newNcclId(id: Uint8Array): void;
  /** Joins the group; waits until all of its processes have. */
  joinNccl(id: Uint8Array, rank: number, size: number): void;
  /**
   * Begins to replace the values of a float32 array of the GPU by their sums, once what the thread has enqueued so far is done.
   *
   * @returns the number of the sum
   */
  beginNcclSum(values: object): number;
  /** What the thread enqueues from now on waits for the sum. */
  finishNcclSumFirst(sum: number): void;
  /** Waits at most so long for all sums. Fails if NCCL or the GPU has failed. @returns whether all are done */
  areNcclSumsDone(milliseconds: number): boolean;
  /** Milliseconds for which sums were under way since the last call. All must be done; their numbers begin again. */
  takeNcclMs(): number;
}
