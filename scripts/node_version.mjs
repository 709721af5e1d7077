/**
 * Refuses a Node that is too old for this program. An old Node must be able to read this file and the programs
 * that import it first, so they use no newer syntax than Node 14 has.
 */
import { readFileSync } from 'node:fs';

/**
 * Ends the process with one line on stderr if its Node is too old. Newer ones than were known pass.
 */
export function refuseOldNode() {
  const file = new URL('../package.json', import.meta.url);
  const problem = problemOf(
    process.versions.node,
    JSON.parse(readFileSync(file, 'utf8')).engines.node,
  );
  if (problem === null) return;
  process.stderr.write(`twotower: ${problem}\n`);
  process.exit(1);
}

/**
 * What is wrong with a version of Node, and the remedy; null if nothing is.
 * @param {string} version such as 18.20.8
 * @param {string} needed ranges such as `^20.19 || ^22.13`
 */
export function problemOf(version, needed) {
  const [major, minor] = version.split('.').map(Number);
  const ranges = needed.split(' || ').map((range) => range.slice(1).split('.').map(Number));
  const fits = ranges.some(([wanted, least = 0]) => major === wanted && minor >= least);
  if (fits || major > Math.max(...ranges.map(([wanted]) => wanted))) return null;
  const names = ranges.map(([wanted, least]) =>
    least === undefined ? `${wanted}` : `${wanted} (${wanted}.${least} or later)`,
  );
  const last = names.pop();
  return `Node ${version} is too old: install Node ${names.join(', ')} or ${last}`;
}
