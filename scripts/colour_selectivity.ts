/**
 *     node dist/scripts/colour_selectivity.js runs/cifar10-13pct-split --out selectivity.png
 *
 * Measures the claim under the paper's Figure 3, that in every run one GPU's kernels become largely colour-agnostic and
 * the other's colour-specific. Takes run folders and folders of `train --seeds`, with the first layer in two towers.
 * Prints a Markdown table with a line per run, and draws every kernel's selectivity, tower by tower.
 *
 * The separation of two towers is the probability that a kernel of the more colourful one is more selective than one of
 * the other, ties counting half: the statistic of Mann and Whitney (Annals of Mathematical Statistics 18, 1947) divided
 * by the number of pairs. 1: every kernel is; 0.5: the towers cannot be told apart. p is the share of random divisions
 * of the same kernels into two halves that separate them as much or more.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadConfiguration } from '../src/configuration.js';
import { writeDurably } from '../src/durable_file.js';
import { UserError } from '../src/errors.js';
import { deriveKey, permutation } from '../src/random.js';
import { colourSelectivities, ofTower } from '../src/report/kernel_grid.js';
import { drawSvg, escapeMarkup } from '../src/report/markup.js';
import { sampleOf } from '../src/report/seeds.js';
import { withCheckpoint } from '../src/runs/checkpoint_reader.js';
import { readFirstKernels } from '../src/runs/first_kernels.js';
import { openRunFolder } from '../src/runs/layout.js';
import { runPathsAt } from '../src/runs/seed_folder.js';

/** Random divisions from which p is counted. */
const DIVISIONS = 9999;

/** The selectivity of each kernel of one run, tower by tower. */
export interface RunSelectivity {
  path: string;
  towers: [number[], number[]];
}

/** At least 0.5, whichever of the two is the more selective. */
export function separationOf([one, other]: readonly [number[], number[]]): number {
  let wins = 0;
  for (const mine of one) {
    for (const theirs of other) wins += mine > theirs ? 1 : mine === theirs ? 0.5 : 0;
  }
  const share = wins / (one.length * other.length);
  return Math.max(share, 1 - share);
}

/** Share of random divisions of the kernels that separate them as much, the division itself being one of them. */
export function chanceOf(towers: readonly [number[], number[]]): number {
  const all = towers.flat();
  const actual = separationOf(towers);
  let asMuch = 1;
  for (let division = 0; division < DIVISIONS; division++) {
    const order = permutation(deriveKey(0, 'division', division), all.length);
    const drawn = Array.from(order, (kernel) => all[kernel]!);
    const half = towers[0].length;
    if (separationOf([drawn.slice(0, half), drawn.slice(half)]) >= actual) asMuch++;
  }
  return asMuch / (DIVISIONS + 1);
}

/** @throws UserError if it is no run in two towers whose first layer is a convolution of an RGB image */
export function selectivityOf(path: string): RunSelectivity {
  const run = openRunFolder(path);
  const configuration = loadConfiguration({ file: run.configurationFile });
  const kernels = withCheckpoint(run, 'latest', ({ files }) =>
    readFirstKernels(configuration, files.model),
  );
  if (kernels === null || configuration.towers !== 2) {
    throw new UserError(`${path} has no two towers of kernels that read RGB images`);
  }
  const each = colourSelectivities(kernels.weights);
  return { path, towers: [ofTower(each, 0, 2), ofTower(each, 1, 2)] };
}

/** A Markdown table with a line per run. */
export function tableOf(runs: readonly RunSelectivity[]): string {
  const rows = runs.map(({ path, towers }) => [
    path,
    ...towers.map((each) => sampleOf(each).mean.toFixed(2)),
    separationOf(towers).toFixed(2),
    chanceOf(towers).toFixed(4),
  ]);
  const headings = ['run', 'tower 0', 'tower 1', 'separation', 'p'];
  return [headings, headings.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** Pixels. */
const [LEFT, PLOT, STRIP, GAP, TOP] = [230, 480, 22, 14, 34];
const COLOURS = ['#0b62a8', '#c2500c'];

/** Every kernel as a dot between 0 and 1, a strip per tower, and a line at the strip's mean. */
export async function drawSelectivity(runs: readonly RunSelectivity[]): Promise<Uint8Array> {
  const at = (value: number): number => LEFT + PLOT * value;
  const height = TOP + runs.length * (2 * STRIP + GAP) + 30;
  const axis = [0, 0.25, 0.5, 0.75, 1].map(
    (value) =>
      `<line x1="${at(value)}" x2="${at(value)}" y1="${TOP - 8}" y2="${height - 26}" stroke="#d0d7de"/>` +
      `<text x="${at(value)}" y="${height - 10}" font-size="12" text-anchor="middle">${value}</text>`,
  );
  const strips = runs.flatMap(({ path, towers }, run) =>
    towers.map((each, tower) => {
      const middle = TOP + run * (2 * STRIP + GAP) + tower * STRIP + STRIP / 2;
      const dots = each.map(
        (value, kernel) =>
          // Side by side in four rows, so that equal values do not hide each other.
          `<circle cx="${at(value)}" cy="${middle - 6 + 4 * (kernel % 4)}" r="2.5" fill="${COLOURS[tower]}" fill-opacity="0.6"/>`,
      );
      const mean = at(sampleOf(each).mean);
      const name = path.split('/').slice(-2).join('/');
      const label = escapeMarkup(`${name}, tower ${tower}`);
      return (
        `<text x="${LEFT - 12}" y="${middle + 4}" font-size="12" text-anchor="end">${label}</text>` +
        dots.join('') +
        `<line x1="${mean}" x2="${mean}" y1="${middle - STRIP / 2}" y2="${middle + STRIP / 2}" stroke="${COLOURS[tower]}" stroke-width="2"/>`
      );
    }),
  );
  const title = `<text x="${LEFT}" y="16" font-size="14">Colour selectivity of each first-layer kernel: 0 brightness alone, 1 colour alone</text>`;
  return drawSvg(LEFT + PLOT + 30, height, title + axis.join('') + strips.join(''));
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { out: { type: 'string' } },
  });
  const runs = positionals.flatMap((path) => runPathsAt(path)).map((path) => selectivityOf(path));
  if (runs.length === 0) throw new UserError('name run folders');
  console.log(tableOf(runs));
  if (values.out !== undefined) writeDurably(values.out, [await drawSelectivity(runs)]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
