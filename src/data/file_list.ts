/**
 * The paths of a folder's images, held as bytes in memory that all threads share. As strings the 1.28 million of
 * ImageNet would be 150 MB in the main thread and as much again in each decoder; so they are 45 MB in all.
 * Made by the main thread; the decoders look up one path at a time.
 */

export interface FileList {
  /** What every path begins with, its `/` included. */
  prefix: string;
  /** uint8, shared: the rest of each path in UTF-8, ended by a zero, which no file's name can have. */
  names: Uint8Array;
  /** uint32 [count], shared: where in `names` each path's zero is. */
  ends: Uint32Array;
}

/** A part of `FileList.names`, for lists that are read part by part. */
export function packNames(names: string[]): Uint8Array {
  return Buffer.from(names.map((name) => `${name}\0`).join(''));
}

/** @param parts of `packNames`, in the list's order */
export function fileList(prefix: string, parts: Uint8Array[]): FileList {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const names = new Uint8Array(new SharedArrayBuffer(bytes));
  let [filled, count] = [0, 0];
  for (const part of parts) {
    names.set(part, filled);
    filled += part.length;
    for (const byte of part) if (byte === 0) count++;
  }
  const ends = new Uint32Array(new SharedArrayBuffer(4 * count));
  for (let index = 0, at = 0; index < count; index++, at++) {
    at = names.indexOf(0, at);
    ends[index] = at;
  }
  return { prefix, names, ends };
}

/** @param index below the number of files */
export function pathAt({ prefix, names, ends }: FileList, index: number): string {
  const start = index === 0 ? 0 : ends[index - 1]! + 1;
  return prefix + Buffer.from(names.buffer, start, ends[index]! - start).toString('utf8');
}
