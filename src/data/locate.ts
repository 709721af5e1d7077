/** Finds out what data set a folder or an archive holds. */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { DataConfiguration } from '../configuration.js';
import { UserError } from '../errors.js';
import { cifarAt, classesOf } from './cifar_versions.js';
import { folderLayout } from './layout.js';
import { shardFilesAt } from './shard_sets.js';
import { isPrepared, readManifest } from './prepared.js';

/**
 * The source of a folder or an archive, by its content, and its number of classes unless that takes reading.
 *
 * @throws UserError if it is no data set, or has one class
 */
export function dataAt(
  directory: string,
): Pick<DataConfiguration, 'source' | 'directory'> & { classes?: number } {
  const root = resolve(directory);
  if (!existsSync(root))
    throw new UserError(`--data ${directory}: there is no such folder or file`);
  const cifar = cifarAt(root);
  if (cifar !== null) {
    return { source: 'cifar10', directory: cifar.place, classes: classesOf(cifar) };
  }
  const isFolder = statSync(root).isDirectory();
  if (isFolder && isPrepared(root)) {
    return { source: 'prepared', directory: root, classes: readManifest(root).classes.length };
  }
  const layout = isFolder ? folderLayout(root) : null;
  const hasClasses = layout !== null && layout.classes.length > 0;
  // An archive may still lie beside what it was unpacked to.
  const shards = hasClasses && !layout.isUnsplit ? null : shardFilesAt(root);
  if (shards !== null && shards.files.train.length > 0) {
    return { source: 'shards', directory: root };
  }
  if (layout === null) {
    throw new UserError(
      `--data ${directory}: it contains no data set; it must be a folder with train/CLASS/, shards (.tar or .parquet), a folder that twotower data prepare wrote, or CIFAR (data_batch_1.bin)`,
    );
  }
  const classes = layout.classes.length;
  if (classes >= 2) return { source: 'folder', directory: root, classes };
  throw new UserError(
    `--data ${directory}: ${layout.train} has ${classes} class folders; at least 2 are needed`,
  );
}
