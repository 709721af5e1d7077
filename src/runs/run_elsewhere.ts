/**
 * A run whose folder another host has: what this host must not write, its verbs leave to that one.
 */
import type { ResumePoint, RunVerbs } from './run.js';
import { runFolderAt } from './layout.js';
import type { RunFolder } from './layout.js';

export class RunElsewhere implements RunVerbs {
  readonly folder: RunFolder;
  readonly takenOver = undefined;

  /** @param path of the run folder on the other host */
  constructor(path: string) {
    this.folder = runFolderAt(path);
  }

  load(): ResumePoint {
    throw new Error(`the checkpoints of ${this.folder.path} are on another host`);
  }

  cutBack(): void {}

  log(): void {}

  keepTest(): void {}

  save(): void {}

  async written(): Promise<void> {}

  check(): void {}

  setSuspectsAside(): void {}

  latest(): null {
    return null;
  }

  /** The other host says it. */
  remedy(): string {
    return '';
  }

  finish(): void {}

  async close(): Promise<void> {}
}
