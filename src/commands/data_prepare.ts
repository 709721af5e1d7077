/** `twotower data prepare SRC DST`: see src/data/prepare.ts. */
import type { ArgumentsCamelCase, CommandModule } from 'yargs';
import { prepareDataset } from '../data/prepare.js';
import { UserError } from '../errors.js';
import { ProgressDisplay } from '../report/progress.js';
import { print } from '../report/printing.js';
import { formatCount } from '../report/text.js';
import { type OutputArguments, outputOptions } from './output_options.js';

interface PrepareArguments extends OutputArguments {
  src: string;
  dst: string;
  undecodableLimit: string;
}

export const command: CommandModule<object, PrepareArguments> = {
  command: 'prepare <src> <dst>',
  describe: 'Make an image folder small and quick to read: 256×256, packed, with statistics',
  builder: (yargs) =>
    yargs
      .positional('src', {
        type: 'string',
        demandOption: true,
        describe: 'Folder with train/CLASS/ and val/ or test/',
      })
      .positional('dst', {
        type: 'string',
        demandOption: true,
        describe: 'New folder, or one in which this was interrupted',
      })
      .options({
        'undecodable-limit': {
          requiresArg: true,
          default: '0.01',
          describe: 'Share of the images that may be skipped because they cannot be decoded',
        },
        ...outputOptions,
      })
      .example('$0 data prepare imagenet prepared', 'Again, to go on where it was interrupted')
      .example('$0 train --preset alexnet-paper --data prepared', 'Then train on it') as never,
  handler: run,
};

async function run(given: ArgumentsCamelCase<PrepareArguments>): Promise<void> {
  const undecodableLimit = Number(given.undecodableLimit);
  if (!(undecodableLimit >= 0 && undecodableLimit <= 1)) {
    throw new UserError(
      `--undecodable-limit must be a number from 0 to 1; it is "${given.undecodableLimit}"`,
    );
  }
  const progress = new ProgressDisplay(given);
  try {
    const { manifest, wasThere } = await prepareDataset({
      source: given.src,
      destination: given.dst,
      undecodableLimit,
      onProgress: (done, of) => progress.show({ label: 'preparing', unit: 'images', done, of }),
    });
    progress.close();
    const { train, test, classes, skipped } = manifest;
    const total = (counts: number[]) => formatCount(counts.reduce((sum, count) => sum + count, 0));
    if (wasThere) print(`${given.dst} is prepared already`);
    print(
      `${total(train)} training and ${total(test)} test images of ${formatCount(classes.length)} classes in ${train.length + test.length} shards`,
    );
    skipped.forEach(({ file, reason }) => print(`skipped ${file}: ${reason}`));
  } finally {
    progress.close();
  }
}
