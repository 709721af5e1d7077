/**
 * The commands on data sets.
 *
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
  builder: (line) =>
    line
      .command({ ...fetch, describe: 'Download a data set; continues where it was interrupted' })
      .command({
        ...prepare,
        describe:
          'Pack an image folder so that it is small and quick to read: 256×256, with statistics',
      })
      .command({
        ...inspect,
        describe: 'Count the images of each class, and draw some before and after augmentation',
      })
      .demandCommand(
        2,
        2,
        'say what to do: data fetch, data prepare or data inspect',
        'more than one command given',
      )
      .example('$0 data prepare imagenet prepared', '256×256, packed, with statistics')
      .example('$0 data fetch cifar10 data', 'The binary version, verified'),
  handler: () => {},
};
