/**
 *     twotower data fetch cifar10 DIR
 *     twotower data prepare SRC DST
 *     twotower data inspect DIR
 */
import type { CommandModule } from 'yargs';
import { command as fetch } from './data_fetch.js';
import { command as inspect } from './data_inspect.js';
import { command as prepare } from './data_prepare.js';

export const command: CommandModule = {
  command: 'data',
  describe: 'Fetch, prepare or look at a data set',
  builder: (yargs) =>
    yargs
      .command(fetch as CommandModule)
      .command(prepare as CommandModule)
      .command(inspect as CommandModule)
      .demandCommand(
        2,
        2,
        'say what to do: data fetch, data prepare or data inspect',
        'more than one command given',
      )
      .example('$0 data prepare imagenet prepared', '256×256, packed, with statistics')
      .example('$0 data fetch cifar10 data', 'Its binary version, checked'),
  handler: () => {},
};
