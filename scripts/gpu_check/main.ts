/**
 * `npm run gpu:check`: shows on a machine with an NVIDIA GPU that the native backend computes the right numbers there, and how
 * fast. It takes at most eight minutes, and writes DIR/gpu_check.json and DIR/gpu_check.md.
 *
 *     npm run gpu:check
 *     npm run gpu:check -- --data cifar-10-batches-bin --python venv/bin/python --out report
 *
 * Exits with 1 if a part fails. Missing a target is no failure.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { headingOf, lineOf, markdownOf } from './check_report.js';
import { PARTS } from './parts.js';
import type { PartName } from './parts.js';
import { runParts } from './run_parts.js';
import type { PartResult } from './run_parts.js';
import { SETTINGS } from './settings.js';

/** Of all parts together. */
const SECONDS = 8 * 60;

const names = Object.keys(PARTS) as PartName[];
const given = await yargs(hideBin(process.argv))
  .scriptName('npm run gpu:check --')
  .usage('$0 [OPTIONS]')
  .options({
    out: { type: 'string', default: 'gpu_check', describe: 'Folder for the two reports' },
    python: { type: 'string', describe: 'A Python with PyTorch for CUDA, to time the same there' },
    data: { type: 'string', describe: "CIFAR-10's binary files, for the reference's ten epochs" },
    part: { type: 'array', string: true, choices: names, describe: 'Only these parts' },
  })
  .strict()
  .parseAsync();

// In the folder of `npm run gpu:pack`, this compiles the addon.
const steps = new URL('../../../scripts/steps.mjs', import.meta.url).href;
const setUp = (await import(steps)) as { prepareEngine: (devices: object) => Promise<void> };
await setUp.prepareEngine({});

const settings = { ...SETTINGS, python: given.python ?? null, data: given.data ?? null };
const started = new Date().toISOString();
const results: PartResult[] = [];
mkdirSync(given.out, { recursive: true });
const file = join(given.out, 'gpu_check');
await runParts(given.part ?? names, settings, SECONDS, (result) => {
  results.push(result);
  console.log(headingOf(result));
  for (const figure of result.figures) console.log(`  ${lineOf(figure)}`);
  // After each, so that an interrupted check leaves what it has found.
  writeFileSync(`${file}.json`, `${JSON.stringify({ started, settings, results }, null, 2)}\n`);
  writeFileSync(`${file}.md`, markdownOf(results));
});
console.log(`written: ${file}.json and ${file}.md`);
if (results.some(({ state }) => state === 'failed')) process.exitCode = 1;
