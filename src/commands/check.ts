/**
 * Compares a network's gradients with finite differences of its loss.
 *
 *     twotower check --preset demo --gpus 0,1
 *     twotower check --config runs/demo/config.json --cpu 2 --json
 */
import { UserError } from '../errors.js';
import { checkGradients } from '../library/check_gradients.js';
import { print, printJson } from '../report/printing.js';
import { formatTable, terminalWidth } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import type { GradientCheck } from '../training/gradient_check.js';
import { deviceOptions } from './device_options.js';
import { defineCommand } from './option_table.js';
import { jsonOption, outputOptions, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';
import { checkpointChoice, initOption } from './run_options.js';

/**
 * A wrong sum or factor shows as tens of percent along the gradient. Rounding, ReLU and pooling cost at most
 * half a percent.
 */
const TOLERANCE = 0.01;

const { preset, config, data, batch, seed, towers, settings } = recipeOptions;

export const command = defineCommand({
  command: 'check',
  options: {
    preset,
    config,
    data,
    batch,
    seed,
    towers,
    settings,
    ...deviceOptions,
    ...initOption,
    checkpoint: checkpointChoice({
      group: 'Run:',
      describe: 'Which checkpoint of the run that --init names (default latest)',
    }),
    ...jsonOption,
    ...outputOptions,
  },
  examples: [
    ['check --preset demo --gpus 0,1', 'Two towers, one on each of two GPUs'],
    ['check --preset demo --cpu 1 --towers 2 --json', 'Two towers on one CPU worker, as JSON'],
  ],
  run: async ({ json, quiet, verbose, ...options }) => {
    const events = new RunEvents();
    const checks = await withProgress({ quiet, verbose }, events, () =>
      checkGradients({ ...options, events }),
    );
    if (json) printJson(checks);
    else printChecks(checks);
    refuseWrong(checks);
  },
});

function printChecks(checks: GradientCheck[]): void {
  const rows = checks.map(({ parameter, analytic, numeric, relativeError }) => [
    parameter,
    analytic.toExponential(5),
    numeric.toExponential(5),
    `${(100 * relativeError).toFixed(3)} %`,
  ]);
  print(
    formatTable(['parameter', 'gradient', 'finite difference', 'error'], rows, terminalWidth()),
  );
}

/** @throws UserError if a gradient is wrong or cannot be checked */
function refuseWrong(checks: GradientCheck[]): void {
  const names = (some: GradientCheck[]) => some.map(({ parameter }) => parameter).join(', ');
  const dead = checks.filter(({ analytic }) => analytic === 0);
  if (dead.length > 0) {
    throw new UserError(
      `the gradient of ${names(dead)} is 0, so nothing can be checked along it: use other initial values or data`,
    );
  }
  const wrong = checks.filter(({ relativeError }) => !(relativeError <= TOLERANCE));
  if (wrong.length === 0) return;
  throw new UserError(
    `gradients differ from finite differences by more than ${TOLERANCE * 100} %: ${names(wrong)}`,
  );
}
