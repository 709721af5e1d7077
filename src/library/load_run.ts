/** Reads a run folder: `loadRun` of the package. */
import { loadConfiguration } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { existsSync } from 'node:fs';
import { chooseCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import type { StoredState } from '../runs/checkpoint_state.js';
import { openRunFolder } from '../runs/layout.js';
import { readMetrics } from '../runs/metrics_log.js';
import { readSafetensors } from '../runs/safetensors.js';
import type { TensorMap } from '../runs/safetensors.js';
import { readSummary } from '../runs/summary.js';
import type { MetricsEvent } from '../runs/metrics.js';
import type { Summary } from '../runs/summary.js';

/** A checkpoint in memory. */
export interface LoadedCheckpoint {
  state: StoredState;
  /** Canonical parameters by name. */
  model: TensorMap;
  /** Their momentum buffers: the same names and shapes. */
  optimizer: TensorMap;
}

/** What a run folder holds. */
export interface LoadedRun {
  path: string;
  configuration: Configuration;
  /** Every step and test, in order. */
  metrics: MetricsEvent[];
  /** null while the run is under way, or after a kill. */
  summary: Summary | null;
  /**
   * Reads and verifies a checkpoint (default: the latest).
   *
   * @throws UserError if there is no such checkpoint
   */
  loadCheckpoint: (choice?: CheckpointChoice) => LoadedCheckpoint;
}

/**
 * @param path run folder
 * @throws UserError if it is no run folder, or one of its files is malformed
 */
export function loadRun(path: string): LoadedRun {
  const run = openRunFolder(path);
  return {
    path,
    configuration: loadConfiguration({ file: run.configurationFile }),
    metrics: readMetrics(run),
    summary: existsSync(run.summaryFile) ? readSummary(run) : null,
    loadCheckpoint: (choice) => {
      const { files, state } = chooseCheckpoint(run, choice);
      return {
        state,
        model: readSafetensors(files.model),
        optimizer: readSafetensors(files.optimizer),
      };
    },
  };
}
