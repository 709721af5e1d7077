/**
 *     twotower data fetch cifar10 DIR
 *     twotower data prepare SRC DST
 *     twotower data inspect DIR
 */
import type { CommandModule } from 'yargs';
import { command as prepare } from './data_prepare.js';

export const command: CommandModule = {
  command: 'data',
  describe: 'Fetch, prepare or look at a data set',
  builder: (yargs) =>
    yargs
      .command(prepare as CommandModule)
      .demandCommand(2, 2, 'say what to do: data prepare', 'more than one command given')
      .example('$0 data prepare imagenet prepared', '256×256, packed, with statistics')
      .example('$0 data prepare --help', 'The same for each of them'),
  handler: () => {},
};
