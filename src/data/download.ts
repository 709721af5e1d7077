/**
 * Downloads a file over HTTP, whole and verified or not at all.
 *
 * Received bytes are kept in `FILE.partial`, so that a broken or stopped download continues where it was (HTTP Range).
 * `FILE` appears once its length and MD5 are the expected ones.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { syncFile, writeWhole } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';

/** What a file must be. */
export interface Expected {
  bytes: number;
  /** Hexadecimal. */
  md5: string;
}

/** What to download, whereto, and how patiently. */
export interface DownloadOptions {
  url: string;
  file: string;
  expected: Expected;
  /** How long the server may send nothing. */
  stallSeconds?: number;
  /** Between attempts. */
  pauseSeconds?: number;
  /** Called with the bytes that are here and all there will be. */
  onProgress?: (bytes: number, of: number) => void;
}

/** In a row, without a byte that is new. */
const ATTEMPTS = 4;

/** A failure after which another attempt may do better. */
class Interruption extends Error {}

/**
 * @throws UserError if the server refuses, sends something else, or breaks off or stalls again and
 *   again; in the last case what has come stays for the next time
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { url, file, expected, pauseSeconds = 2 } = options;
  const partial = `${file}.partial`;
  const has = () => statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
  const isOfEarlier = has() > 0;
  for (let attempt = 1, most = has(); has() < expected.bytes;) {
    try {
      await receive(options, partial, has());
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      attempt = has() > most ? 1 : attempt + 1;
      most = Math.max(most, has());
      if (attempt > ATTEMPTS) {
        throw new UserError(
          `${url}: ${error.message}, with ${has()} of ${expected.bytes} bytes here: run the command again to continue, or pass another URL with --from`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, pauseSeconds * 1000));
    }
  }
  const difference = await differenceFrom(expected, partial);
  if (difference !== null) {
    rmSync(partial);
    // What an earlier command had from elsewhere may be at fault, not this address.
    if (isOfEarlier) return download(options);
    throw new UserError(
      `${url} is not the file that was expected: ${difference}; pass another URL with --from`,
    );
  }
  syncFile(partial);
  renameSync(partial, file);
}

/** One request: appends to `partial` what is missing, or restarts if the server sends everything. */
async function receive(
  { url, expected, stallSeconds = 30, onProgress }: DownloadOptions,
  partial: string,
  has: number,
): Promise<void> {
  const abort = new AbortController();
  const stalled = new Interruption(`nothing came for ${stallSeconds} s`);
  let timer = setTimeout(() => abort.abort(stalled), stallSeconds * 1000);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(stalled), stallSeconds * 1000);
  };
  try {
    const response = await fetch(url, {
      signal: abort.signal,
      headers: {
        'accept-encoding': 'identity',
        ...(has > 0 && { range: `bytes=${has}-` }),
      },
    });
    const goesOn = response.status === 206;
    refuseAnswer(url, response, goesOn ? has : 0, expected.bytes);
    let received = goesOn ? has : 0;
    onProgress?.(received, expected.bytes);
    const descriptor = openSync(partial, goesOn ? 'a' : 'w');
    try {
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        alive();
        received += chunk.length;
        // Whatever a server says of its length, it may send without an end.
        if (received > expected.bytes) {
          rmSync(partial);
          throw new UserError(
            `${url} sends more than the ${expected.bytes} bytes of the file that was expected: pass another URL with --from`,
          );
        }
        // At once, so that nothing that came is lost where the connection breaks.
        writeWhole(descriptor, chunk);
        onProgress?.(received, expected.bytes);
      }
    } finally {
      closeSync(descriptor);
    }
    if (received < expected.bytes) throw new Interruption('the file ended early');
  } catch (error) {
    if (abort.signal.aborted) throw stalled;
    if (error instanceof UserError || error instanceof Interruption) throw error;
    if (isOfDisk(error)) {
      throw new UserError(`cannot write ${partial}: ${messageOf(error)}`, { cause: error });
    }
    throw new Interruption(`the connection broke (${causeOf(error)})`);
  } finally {
    clearTimeout(timer);
    // What is still to come of an answer that was refused would keep the connection, and the process with it.
    abort.abort();
  }
}

/** @param begin byte at which the answer must begin @param bytes of the whole file */
function refuseAnswer(url: string, response: Response, begin: number, bytes: number): void {
  const { status, statusText, headers } = response;
  if (status >= 500) throw new Interruption(`the server answered ${status} ${statusText}`.trim());
  if (status !== 200 && status !== 206) {
    throw new UserError(
      `${url}: the server answered ${status} ${statusText}: check the URL, or pass another with --from`,
    );
  }
  const range = headers.get('content-range');
  if (status === 206 && !range?.startsWith(`bytes ${begin}-`)) {
    throw new UserError(
      `${url}: the server returned the wrong byte range: pass another URL with --from`,
    );
  }
  // Of the whole file, where the server says it: a page that asks for a password is not kept as a beginning.
  const length = status === 206 ? range?.split('/')[1] : headers.get('content-length');
  if (/^\d+$/.test(length ?? '') && Number(length) !== bytes) {
    throw new UserError(
      `${url} is not the file that was expected: ${length} bytes, not ${bytes}; pass another URL with --from`,
    );
  }
}

function isOfDisk(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code !== undefined && (syscall === 'open' || syscall === 'write');
}

/** fetch says only "fetch failed" or "terminated"; why stands beside it. */
function causeOf(error: unknown): string {
  const { cause } = error as Error;
  return cause === undefined ? messageOf(error) : messageOf(cause);
}

/** What is other in a file than in the one that is expected, for a message; null: nothing. */
export async function differenceFrom(expected: Expected, file: string): Promise<string | null> {
  const { size } = statSync(file);
  const hash = createHash('md5');
  await pipeline(createReadStream(file), hash);
  const md5 = hash.digest('hex');
  if (size === expected.bytes && md5 === expected.md5) return null;
  return `${size} bytes with md5 ${md5}, not ${expected.bytes} bytes with md5 ${expected.md5}`;
}
