/** Packs an image folder so that training reads it fast: `twotower data prepare SRC DST`. */
import { prepareDataset } from '../data/prepare.js';
import { RunEvents } from '../runs/events.js';
import { note, print } from '../report/printing.js';
import { formatCount } from '../report/text.js';
import { path, share } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { outputOptions, withProgress } from './output_options.js';
import { recipeOptions } from './recipe_options.js';

export const command = defineCommand({
  command: 'prepare <src> <dst>',
  positionals: {
    src: path({ describe: 'Any folder or archive that --data takes' }),
    dst: path({ describe: 'New folder, or one whose preparation was interrupted' }),
  },
  options: {
    undecodableLimit: share({
      describe: 'Fraction of the images that may be skipped as undecodable (default 0.01)',
    }),
    split: recipeOptions.split,
    ...outputOptions,
  },
  examples: [
    ['data prepare imagenet prepared', 'Run it again to continue after an interruption'],
    ['train --preset alexnet-paper --data prepared', 'Then train on it'],
  ],
  run: async ({ src, dst, undecodableLimit = 0.01, split, ...verbosity }) => {
    const { manifest, wasThere, notices } = await withProgress(
      verbosity,
      new RunEvents(),
      (progress) =>
        prepareDataset({
          source: src,
          destination: dst,
          undecodableLimit,
          split,
          onProgress: (done, of) => progress.show({ label: 'preparing', unit: 'images', done, of }),
        }),
    );
    notices.forEach((notice) => note(`warning: ${notice}`));
    const { train, test, classes, skipped } = manifest;
    const total = (counts: number[]) => formatCount(counts.reduce((sum, count) => sum + count, 0));
    if (wasThere) print(`${dst} is prepared already`);
    print(
      `${total(train)} training and ${total(test)} test images of ${formatCount(classes.length)} classes in ${train.length + test.length} shards`,
    );
    skipped.forEach(({ file, reason }) => print(`skipped ${file}: ${reason}`));
  },
});
