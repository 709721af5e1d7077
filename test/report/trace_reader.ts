/** Reads a trace as a viewer does: spans by the names of their process and thread. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export interface TracedSpan {
  group: string;
  track: string;
  name: string;
  category: string;
  /** Microseconds. */
  began: number;
  ended: number;
  microseconds: number;
}

type TraceEvent =
  | { ph: 'M'; name: string; pid: number; tid?: number; args: { name: string } }
  | { ph: 'X'; name: string; cat: string; pid: number; tid: number; ts: number; dur: number };

export function readTrace(path: string): TracedSpan[] {
  const events = JSON.parse(readFileSync(path, 'utf8')) as TraceEvent[];
  const names = new Map<string, string>();
  return events.flatMap((event) => {
    if (event.ph === 'M') {
      if (event.name === 'process_name') names.set(`${event.pid}`, event.args.name);
      if (event.name === 'thread_name') names.set(`${event.pid} ${event.tid}`, event.args.name);
      return [];
    }
    const { name, cat, pid, tid, ts, dur } = event;
    assert.ok(ts >= 0 && dur >= 0, `${name} begins at ${ts} and takes ${dur}`);
    const group = names.get(`${pid}`)!;
    const track = names.get(`${pid} ${tid}`)!;
    return [{ group, track, name, category: cat, began: ts, ended: ts + dur, microseconds: dur }];
  });
}

/** Microseconds of `spans` that lie in `whole`. */
export function timeWithin(whole: TracedSpan, spans: TracedSpan[]): number {
  return spans.reduce(
    (sum, { began, ended }) =>
      sum + Math.max(0, Math.min(ended, whole.ended) - Math.max(began, whole.began)),
    0,
  );
}
