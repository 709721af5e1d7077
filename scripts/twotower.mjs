#!/usr/bin/env node
/**
 * The command `twotower`, and `npm start --`: sets up what is not in place, then runs the command line
 * in this process. Imports nothing that an `npm ci` would have to bring.
 */
import { setUp } from './setup.mjs';
import { say } from './subprocess.mjs';

try {
  await setUp({ retry: false });
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
await import('../dist/src/cli.js');
