/**
 *     twotower evaluate runs/demo
 *     twotower evaluate runs/cifar10-quick --data DIR --json
 */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { openDataset } from '../data/dataset.js';
import { formatCount, formatPercent } from '../report/text.js';
import { loadParameters } from '../training/canonical.js';
import { checkpointFiles, requireCheckpoint } from '../training/checkpoint.js';
import { evaluate } from '../training/evaluation.js';
import { openRunFolder } from '../training/run_folder.js';
import { withTowers } from '../training/session.js';
import { configurationFrom, configurationOptions, wholeNumber } from './options.js';
import type { ConfigurationArguments } from './options.js';
import { placementFrom, placementOptions } from './placement_options.js';
import type { PlacementArguments } from './placement_options.js';

const { data, batch } = configurationOptions;
const options = {
  data,
  batch,
  ...placementOptions,
  'test-limit': {
    requiresArg: true,
    describe: 'Test only the first so many images',
  },
  json: { type: 'boolean', default: false, describe: 'Print one JSON object, all else on stderr' },
} as const;

interface EvaluateArguments
  extends Pick<ConfigurationArguments, 'data' | 'batch'>, PlacementArguments {
  run: string;
  testLimit?: string | undefined;
  json?: boolean | undefined;
}

export const command: CommandModule<object, EvaluateArguments> = {
  command: 'evaluate <run>',
  describe: "Test a run's latest checkpoint",
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .options(options) as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<EvaluateArguments>): Promise<void> {
  const testLimit = wholeNumber('test-limit', given.testLimit, 1);
  const folder = openRunFolder(given.run);
  const files = checkpointFiles(requireCheckpoint(folder));
  const configuration = configurationFrom({
    data: given.data,
    batch: given.batch,
    config: folder.configurationFile,
  });
  const resolved = await placementFrom(given, configuration.towers, configuration.towers);
  resolved.warnings.forEach((warning) => console.error(`warning: ${warning}`));

  const dataset = await openDataset(configuration.data);
  const result = await withTowers({ configuration, dataset, ...resolved }, async (towers, ring) => {
    await loadParameters(towers, files.model);
    return evaluate(towers, ring, testLimit);
  });
  if (given.json === true) {
    console.log(JSON.stringify(result));
  } else {
    console.log(
      `top-1 ${formatPercent(result.top1)}  top-5 ${formatPercent(result.top5)}  loss ${result.loss.toFixed(4)}  ${formatCount(result.images)} images`,
    );
  }
}
