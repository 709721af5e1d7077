/** Downloads a data set: `twotower data fetch cifar10 DIR`. */
import { fetchCifar10 } from '../data/fetch_cifar10.js';
import { print } from '../report/printing.js';
import { formatBytes } from '../report/text.js';
import { RunEvents } from '../runs/events.js';
import { choice, path, text } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { outputOptions, withProgress } from './output_options.js';

const MEBIBYTE = 2 ** 20;

export const command = defineCommand({
  command: 'fetch <name> <dir>',
  positionals: {
    name: choice(['cifar10'], { describe: 'Data set' }),
    dir: path({ describe: 'Folder to download into' }),
  },
  options: {
    from: text({ describe: 'URL of the archive (default: the official one)' }),
    ...outputOptions,
  },
  examples: [
    ['data fetch cifar10 data', 'Run it again to continue an interrupted download'],
    ['train --preset cifar10-quick --data data', 'Then train on it'],
  ],
  run: async ({ dir, from, ...verbosity }) => {
    const { folder, wasThere } = await withProgress(verbosity, new RunEvents(), (progress) =>
      fetchCifar10({
        from,
        directory: dir,
        onProgress: (bytes, of) =>
          progress.show({
            label: 'fetching',
            unit: 'MiB',
            done: Math.floor(bytes / MEBIBYTE),
            of: Math.floor(of / MEBIBYTE),
            details: [formatBytes(bytes)],
          }),
      }),
    );
    print(wasThere ? `${folder} is there already` : folder);
  },
});
