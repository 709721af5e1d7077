/**
 * Traces of one host or several: a group of tracks for each of them, in the file of the first.
 *
 * Every other host keeps its spans until all come together (`gather`). Hosts have clocks of their own, so times count
 * from a moment at which all have met: tracks of different hosts agree to a few milliseconds, and drift apart in hours.
 */
import { microseconds } from '../clock.js';
import { TraceFile } from '../report/trace.js';
import type { TraceTracks } from '../report/trace.js';
import type { World } from './world.js';

type Span = Parameters<TraceTracks['span']>;

/** What a host has not brought to the first yet. */
interface Kept {
  tracks: string[];
  spans: Span[];
}

class HostsTracks implements TraceTracks {
  private kept: Kept = { tracks: [], spans: [] };

  private constructor(
    private readonly world: World,
    /** One per host; none but on the first. */
    private readonly groups: TraceTracks[],
    /** When all met, on this host's clock. */
    private readonly met: number,
  ) {}

  /** A collective. @param groups one per host; none but on the first */
  static async begin(world: World, groups: TraceTracks[]): Promise<HostsTracks> {
    await world.agree();
    return new HostsTracks(world, groups, microseconds());
  }

  declare(tracks: string[]): void {
    if (this.world.isFirst) this.groups[0]!.declare(tracks);
    else this.kept.tracks.push(...tracks);
  }

  span(...[track, name, category, began, ended]: Span): void {
    if (this.world.isFirst) this.groups[0]!.span(track, name, category, began, ended);
    else this.kept.spans.push([track, name, category, began - this.met, ended - this.met]);
  }

  async gather(): Promise<void> {
    const { kept } = this;
    this.kept = { tracks: [], spans: [] };
    const ofHosts = await this.world.gather(kept);
    for (const [host, group] of this.groups.entries()) {
      const { tracks, spans } = ofHosts[host]!;
      group.declare(tracks);
      for (const [track, name, category, began, ended] of spans) {
        group.span(track, name, category, began + this.met, ended + this.met);
      }
    }
  }
}

/** The file of a trace, which the first host writes for all of them. */
export class HostsTrace {
  /** @param file the first host's; undefined on the others */
  private constructor(private readonly file: TraceFile | undefined) {}

  /**
   * A collective.
   *
   * @param path of a new file, which the first host has
   * @returns undefined if the first host was not asked for a trace
   * @throws UserError if the file exists already or cannot be created
   */
  static async open(world: World, path: string | undefined): Promise<HostsTrace | undefined> {
    let file: TraceFile | undefined;
    const isTraced = await world.fromFirst(() => {
      file = path === undefined ? undefined : new TraceFile(path);
      return file !== undefined;
    });
    return isTraced ? new HostsTrace(file) : undefined;
  }

  /** Tracks under this heading, for each of the hosts of `world`, of which this is one. A collective of it. */
  async tracks(world: World, name: string): Promise<TraceTracks> {
    const { file } = this;
    if (world.isAlone) return file!.group(name);
    const groups =
      file === undefined ? [] : world.hosts.map((host) => file.group(`${name} on ${host}`));
    return HostsTracks.begin(world, groups);
  }

  close(): void {
    this.file?.close();
  }
}
