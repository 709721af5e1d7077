/** Downloads CIFAR-10's binary version and unpacks it into a folder that `cifar10.ts` reads. */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { extract } from 'tar';
import { makeFolder, syncFile, syncFolder } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';
import { type DownloadOptions, type Expected, differenceFrom, download } from './download.js';

const CIFAR10_URL = 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz';
const ARCHIVE: Expected = { bytes: 170_052_171, md5: 'c32a1d4ab5d03f1284b67883e8d87530' };

/** The folder in the archive. */
const FOLDER = 'cifar-10-batches-bin';
const BATCHES = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`);
const REQUIRED = [...BATCHES, 'test_batch.bin', 'batches.meta.txt'];
const FILES = [...REQUIRED, 'readme.html'];
/** 10,000 records of 3,073 bytes: no file of the archive is larger. */
const LARGEST = 30_730_000;

export interface FetchOptions extends Omit<DownloadOptions, 'url' | 'file' | 'expected'> {
  /** URL of the archive (default: the official one). */
  from?: string | undefined;
  directory: string;
  /** Of the archive; the official one's unless a test has another. */
  expected?: Expected;
}

/**
 * @returns the folder with the files, and whether it was there already
 * @throws UserError as `download` does, and for an archive that is not what it should be
 */
export async function fetchCifar10(
  options: FetchOptions,
): Promise<{ folder: string; wasThere: boolean }> {
  const { from = CIFAR10_URL, directory, expected = ARCHIVE, ...rest } = options;
  refuseOtherSchemes(from);
  const folder = path.join(directory, FOLDER);
  if (existsSync(folder)) {
    if (REQUIRED.every((name) => existsSync(path.join(folder, name)))) {
      return { folder, wasThere: true };
    }
    throw new UserError(`${folder} exists but is incomplete: remove it, or name another folder`);
  }
  makeFolder(directory);
  const archive = path.join(directory, 'cifar-10-binary.tar.gz');
  if (!existsSync(archive)) await download({ ...rest, url: from, file: archive, expected });
  // One that was there may have come by another way.
  else await refuseOtherArchive(archive, expected);
  await unpack(archive, directory, folder);
  rmSync(archive);
  return { folder, wasThere: false };
}

function refuseOtherSchemes(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new UserError(`--from takes a URL that begins with http:// or https://; it is "${url}"`);
}

async function refuseOtherArchive(archive: string, expected: Expected): Promise<void> {
  const difference = await differenceFrom(expected, archive);
  if (difference === null) return;
  throw new UserError(`${archive} is not CIFAR-10's: ${difference}; remove it and fetch it again`);
}

/** Beside its final name, then renamed. Of the archive only the files that belong to it are written. */
async function unpack(archive: string, directory: string, folder: string): Promise<void> {
  const partial = path.join(directory, `${FOLDER}.partial`);
  rmSync(partial, { recursive: true, force: true });
  makeFolder(partial);
  try {
    await extract({
      file: archive,
      cwd: partial,
      strict: true,
      strip: 1,
      filter: (name, entry) =>
        'type' in entry &&
        entry.type === 'File' &&
        entry.size <= LARGEST &&
        FILES.some((file) => name === `${FOLDER}/${file}`),
    });
    const missing = REQUIRED.filter((name) => !readdirSync(partial).includes(name));
    if (missing.length > 0) throw new Error(`it lacks ${missing.join(', ')}`);
    const empty = REQUIRED.filter((name) => statSync(path.join(partial, name)).size === 0);
    if (empty.length > 0) throw new Error(`${empty.join(', ')} is empty`);
    REQUIRED.forEach((name) => syncFile(path.join(partial, name)));
    syncFolder(partial);
    renameSync(partial, folder);
    syncFolder(directory);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw new UserError(
      `${archive} cannot be unpacked (${messageOf(error)}): remove it and fetch it again`,
    );
  }
}
