/**
 * `npm test`: set-up, then every compiled test. The files are listed here because `node --test` takes
 * patterns only from Node 21 on.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
await setUp({ retry: true });

const folder = join(root, 'dist', 'test');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => join(folder, name));
const runner = spawn(process.execPath, ['--test', ...process.argv.slice(2), ...files], {
  cwd: root,
  stdio: 'inherit',
});
runner.on('exit', (code) => process.exit(code ?? 1));
