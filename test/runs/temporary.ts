/** A folder that a test may write into, gone when the test ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export function temporaryFolder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'twotower-test-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
