/** Folders for a test's files, removed when the test file is done. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'twotower-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
