/** `twotower data fetch cifar10 DIR`: see src/data/fetch_cifar10.ts. */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { fetchCifar10 } from '../data/fetch_cifar10.js';
import { ProgressDisplay } from '../report/progress.js';
import { print } from '../report/printing.js';
import { formatBytes } from '../report/text.js';
import { type OutputArguments, outputOptions } from './output_options.js';

interface FetchArguments extends OutputArguments {
  name: string;
  dir: string;
  from?: string | undefined;
}

export const command: CommandModule<object, FetchArguments> = {
  command: 'fetch <name> <dir>',
  describe: 'Download a data set; goes on where it was broken off',
  builder: (yargs) =>
    yargs
      .positional('name', { choices: ['cifar10'], demandOption: true, describe: 'Data set' })
      .positional('dir', { type: 'string', demandOption: true, describe: 'Folder to put it in' })
      .options({
        from: {
          requiresArg: true,
          describe: 'Address of the archive; without it the official one',
        },
        ...outputOptions,
      })
      .example('$0 data fetch cifar10 data', 'Again, to go on where it was broken off')
      .example('$0 train --preset cifar10-quick --data data', 'Then train on it') as never,
  handler: run,
};

const MEBIBYTE = 2 ** 20;

async function run(given: ArgumentsCamelCase<FetchArguments>): Promise<void> {
  const progress = new ProgressDisplay(given);
  try {
    const { folder, wasThere } = await fetchCifar10({
      from: given.from,
      directory: given.dir,
      onProgress: (bytes, of) =>
        progress.show({
          label: 'fetching',
          unit: 'MiB',
          done: Math.floor(bytes / MEBIBYTE),
          of: Math.floor(of / MEBIBYTE),
          details: [formatBytes(bytes)],
        }),
    });
    progress.close();
    print(wasThere ? `${folder} is there already` : folder);
  } finally {
    progress.close();
  }
}
