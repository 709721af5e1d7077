/** Reading a run folder: `loadRun` of the package. */
import { loadConfiguration } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { existsSync } from 'node:fs';
import { loadCheckpoint, requireCheckpoint } from '../runs/checkpoint.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import { openRunFolder } from '../runs/layout.js';
import { readMetrics } from '../runs/metrics.js';
import { readSummary } from '../runs/summary.js';
import type { MetricsEvent } from '../runs/metrics.js';
import type { Summary } from '../runs/summary.js';

/** What a run folder holds. */
export interface LoadedRun {
  path: string;
  configuration: Configuration;
  /** Every step and test, in order. */
  metrics: MetricsEvent[];
  /** null while the run goes on for the first time, or after a kill. */
  summary: Summary | null;
  /**
   * The latest checkpoint: canonical parameters, their momentum and the position.
   * @throws UserError where there is none yet
   */
  loadCheckpoint: () => Checkpoint;
}

/**
 * @param path run folder
 * @throws UserError where it is none, or one of its files is malformed
 */
export function loadRun(path: string): LoadedRun {
  const run = openRunFolder(path);
  return {
    path,
    configuration: loadConfiguration({ file: run.configurationFile }),
    metrics: readMetrics(run),
    summary: existsSync(run.summaryFile) ? readSummary(run) : null,
    loadCheckpoint: () => loadCheckpoint(requireCheckpoint(run)),
  };
}
