/**
 * Loaded before the program (`node --import`) in the process of each host, as the environment says:
 *
 * - `TWOTOWER_TEST_HASHES`: whenever the host gathers its parameters, as for a checkpoint, a line `STEP HASH` of them
 *   and of the momentum buffers is appended to this file. The program's own comparison of hosts has no part in this.
 * - `TWOTOWER_TEST_VERSION`: the program is of this version.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import type { SharedParameters } from '../../src/parallel/shared_parameters.js';

const { TWOTOWER_TEST_HASHES: hashes, TWOTOWER_TEST_VERSION: version } = process.env;

if (isMainThread && version !== undefined) pretend(version);
if (isMainThread && hashes !== undefined) await noteHashes(hashes);

interface Storing {
  store: (this: Storing) => Promise<SharedParameters>;
  /** Null before the first. */
  currentStep: number | null;
}

async function noteHashes(file: string): Promise<void> {
  const { Coordinator } = await import('../../src/parallel/coordinator.js');
  const prototype = Coordinator.prototype as unknown as Storing;
  const { store } = prototype;
  prototype.store = async function () {
    const stored = await store.call(this);
    const hash = createHash('sha256');
    for (const tensors of [stored.parameters, stored.velocities]) {
      for (const values of Object.values(tensors)) hash.update(new Uint8Array(values));
    }
    fs.appendFileSync(file, `${this.currentStep ?? 0} ${hash.digest('hex')}\n`);
    return stored;
  };
}

/** The version is read from the program's package.json. */
function pretend(other: string): void {
  const file = new URL('../../../package.json', import.meta.url).href;
  const { readFileSync } = fs;
  fs.readFileSync = ((path: fs.PathOrFileDescriptor, ...options: never[]) => {
    const content = readFileSync(path, ...options) as string | Buffer;
    if (!(path instanceof URL) || path.href !== file) return content;
    return JSON.stringify({ ...(JSON.parse(String(content)) as object), version: other });
  }) as typeof fs.readFileSync;
  syncBuiltinESMExports();
}
