/**
 * `npm run release [-- OPTIONS of npm pack]`: builds everything, the prebuilt addons included, and packs what is
 * published. npm's own hooks are off (.npmrc).
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dependenciesInstalled, installDependencies, npm } from './dependencies.mjs';
import { buildPrebuilt } from './prebuilt.mjs';
import { endSetUp } from './steps.mjs';
import { endChildrenOnSignals } from './subprocess.mjs';
import { buildTypescript } from './typescript.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

async function release() {
  endChildrenOnSignals();
  if (!dependenciesInstalled(ROOT, true)) await installDependencies(ROOT, true);
  await buildTypescript(ROOT, true);
  // A checkout uses what it compiles itself. An interrupted release ends without its `finally` blocks.
  process.once('exit', () => {
    rmSync(join(ROOT, 'native', 'prebuilt'), { recursive: true, force: true });
  });
  await buildPrebuilt(ROOT);
  const [program, programArguments] = npm(process.env);
  const words = [...programArguments, 'pack', ...process.argv.slice(2)];
  process.exitCode = spawnSync(program, words, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
}

release().catch(endSetUp);
