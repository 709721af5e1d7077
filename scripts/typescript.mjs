/**
 * The TypeScript build. dist/ is rebuilt if the sources are not those it was built from.
 *
 * dist/.built lists every source with size and time of change. It is written after a successful build. An
 * installed package has no sources; it brings dist/ with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from './files.mjs';
import { run, timed } from './subprocess.mjs';

const FOLDERS = ['src', 'workers', 'test', 'scripts'];
const OUTPUTS = ['.js', '.js.map', '.d.ts'];

/**
 * @param {string} root the project's folder
 * @returns {string[]} paths of the sources from there, without `.ts`
 */
function sourcesOf(root) {
  return FOLDERS.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map((name) => join(folder, name.slice(0, -'.ts'.length))),
  );
}

/**
 * @param {string} root
 * @returns {string} changes if a source or the compiler's options change
 */
function signatureOf(root) {
  const files = sourcesOf(root).map((source) => `${source}.ts`);
  return [...files, 'tsconfig.json']
    .sort()
    .map((file) => {
      const { size, mtimeMs } = statSync(join(root, file));
      return `${file} ${size} ${mtimeMs}\n`;
    })
    .join('');
}

/** @param {string} root the project's folder */
export function typescriptBuilt(root) {
  if (!existsSync(join(root, 'tsconfig.json'))) return true;
  const stamp = join(root, 'dist', '.built');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== signatureOf(root)) return false;
  return sourcesOf(root).every((source) => existsSync(join(root, 'dist', `${source}.js`)));
}

/** @param {string} root the project's folder */
export async function buildTypescript(root) {
  const signature = signatureOf(root);
  mkdirSync(join(root, 'dist'), { recursive: true });
  removeOrphans(root);
  // tsc's own record of what is up to date does not notice a missing output.
  if (!sourcesOf(root).every((source) => existsSync(join(root, 'dist', `${source}.js`)))) {
    rmSync(join(root, 'dist', '.tsbuildinfo'), { force: true });
  }
  await timed('compiling TypeScript', () =>
    run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root]),
  );
  writeWhole(join(root, 'dist', '.built'), signature);
}

/**
 * Removes the outputs of sources that are gone; otherwise a removed test would still run.
 * @param {string} root
 */
function removeOrphans(root) {
  for (const folder of FOLDERS) {
    const outputs = join(root, 'dist', folder);
    if (!existsSync(outputs)) continue;
    for (const name of readdirSync(outputs, { recursive: true, encoding: 'utf8' })) {
      const ending = OUTPUTS.find((candidate) => name.endsWith(candidate));
      if (ending === undefined) continue;
      const source = join(root, folder, `${name.slice(0, -ending.length)}.ts`);
      if (!existsSync(source)) rmSync(join(outputs, name));
    }
  }
}
