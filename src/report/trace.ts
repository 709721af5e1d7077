/**
 * A trace in Chrome's trace event format (an array of JSON objects), for ui.perfetto.dev or chrome://tracing.
 *
 * Events are written as they come, so that a long trace takes no memory. Both viewers open a file whose end is
 * missing, as after a kill.
 */
import { closeSync, openSync } from 'node:fs';
import { microseconds } from '../clock.js';
import { writeWhole } from '../durable_file.js';
import { UserError, messageOf } from '../errors.js';

/** Characters that are collected before they are written. */
const BUFFER = 1 << 16;

export class TraceFile {
  private readonly descriptor: number;
  /** The origin of all times. */
  private readonly origin = microseconds();
  private text = '[\n';
  private events = 0;
  private groups = 0;

  /** @throws UserError if the file exists already or cannot be created */
  constructor(private readonly path: string) {
    try {
      this.descriptor = openSync(path, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
        throw new UserError(`${path} exists: name another file or remove it`);
      }
      throw this.failure(error);
    }
  }

  /** A group of tracks under a heading: a run, or one placement of several. */
  group(name: string): TraceGroup {
    return new TraceGroup(this, ++this.groups, name);
  }

  /** @param event an object as JSON, its times, `ts` and `dur`, in microseconds */
  write(event: string): void {
    this.text += this.events++ === 0 ? event : `,\n${event}`;
    if (this.text.length >= BUFFER) this.flush();
  }

  /** Microseconds since the origin, to the nanosecond, for a time on the clock of `clock.ts`. */
  sinceOrigin(time: number): number {
    return Math.round((time - this.origin) * 1e3) / 1e3;
  }

  close(): void {
    this.text += '\n]\n';
    this.flush();
    closeSync(this.descriptor);
  }

  private flush(): void {
    const bytes = Buffer.from(this.text);
    this.text = '';
    try {
      writeWhole(this.descriptor, bytes);
    } catch (error) {
      throw this.failure(error);
    }
  }

  private failure(error: unknown): UserError {
    return new UserError(`cannot write ${this.path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Rows of the viewer, and what happened on them when. */
export interface TraceTracks {
  /** Names tracks now, so that they come before later ones. */
  declare(tracks: string[]): void;
  /**
   * @param track `coordinator`, `rank 0`, `decoder 1`: one row of the viewer; its spans may be nested
   * @param category without quotes or control characters
   * @param began,ended on the clock of `clock.ts`
   */
  span(track: string, name: string, category: string, began: number, ended: number): void;
  /** With several hosts: brings the spans of the others into the file. A collective. */
  gather?(): Promise<void>;
}

export class TraceGroup implements TraceTracks {
  private readonly tracks = new Map<string, number>();

  constructor(
    private readonly file: TraceFile,
    private readonly id: number,
    name: string,
  ) {
    this.describe({ name: 'process_name', args: { name } });
    this.describe({ name: 'process_sort_index', args: { sort_index: id } });
  }

  declare(tracks: string[]): void {
    tracks.forEach((track) => this.trackId(track));
  }

  span(track: string, name: string, category: string, began: number, ended: number): void {
    const ts = this.file.sinceOrigin(began);
    const dur = this.file.sinceOrigin(ended) - ts;
    // Concatenated by hand, because this happens a hundred times per step.
    this.file.write(
      `{"ph":"X","pid":${this.id},"tid":${this.trackId(track)},"name":${JSON.stringify(name)},"cat":"${category}","ts":${ts},"dur":${dur}}`,
    );
  }

  private describe(event: { name: string; tid?: number; args: object }): void {
    this.file.write(JSON.stringify({ ph: 'M', pid: this.id, ...event }));
  }

  /** Rows appear in the order in which they are first named. */
  private trackId(track: string): number {
    const known = this.tracks.get(track);
    if (known !== undefined) return known;
    const tid = this.tracks.size + 1;
    this.tracks.set(track, tid);
    this.describe({ name: 'thread_name', tid, args: { name: track } });
    this.describe({ name: 'thread_sort_index', tid, args: { sort_index: tid } });
    return tid;
  }
}
