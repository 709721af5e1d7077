/** Reports of run folders, or of a comparison, as one self-contained HTML file. */
import { existsSync } from 'node:fs';
import { loadConfiguration } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { writeDurably } from '../durable_file.js';
import { comparisonReport } from '../report/comparison_report.js';
import { pageBody, pageDocument } from '../report/page.js';
import type { PageContent } from '../report/page.js';
import { RunHistory } from '../report/run_history.js';
import { runReport } from '../report/run_report.js';
import type { ReportedRun } from '../report/run_report.js';
import { latestCheckpointPath, withCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import { readFirstKernels } from '../runs/first_kernels.js';
import { openRunFolder } from '../runs/layout.js';
import type { RunFolder } from '../runs/layout.js';
import { MetricsReader } from '../runs/metrics_log.js';
import { runPathsAt } from '../runs/seed_folder.js';
import { readLastTest, readSummary } from '../runs/summary.js';
import type { Comparison } from './compare.js';
import { refuseOutputFile } from './output_file.js';

/**
 * Writes the report of runs, over each other if there are several.
 *
 * @param runs run folders, or folders of `trainSeeds`, at least one; a run may be under way
 * @param file replaced if it exists
 * @param checkpoint whose kernels to draw (default: the latest)
 * @throws UserError if one is no run folder or has no such checkpoint, or the file cannot be written
 */
export async function writeReport(
  runs: readonly string[],
  file: string,
  checkpoint?: CheckpointChoice,
): Promise<void> {
  const paths = runs.flatMap((run) => runPathsAt(run));
  writePage(file, await runReport(paths.map((run) => reportedRun(run, checkpoint))));
}

/** Writes the report of timings. */
export function writeComparison(comparison: Comparison, file: string): void {
  writePage(file, comparisonReport(comparison));
}

/** @throws UserError where the file's folder is not there: known before hours of work, not after them */
export function refuseReportFile(file: string): void {
  refuseOutputFile('--report', file, 'report.html');
}

function writePage(file: string, content: PageContent): void {
  const page = pageDocument(content.title, pageBody(content), null);
  writeDurably(file, [new TextEncoder().encode(page)]);
}

/** All that a report tells of a run, read from its folder. */
export function reportedRun(path: string, checkpoint?: CheckpointChoice): ReportedRun {
  return new RunReader(path).read(checkpoint);
}

/** Reads a run for reports again and again, each time only what is new of its metrics. */
export class RunReader {
  private readonly folder: RunFolder;
  private readonly metrics: MetricsReader;
  private readonly history = new RunHistory();

  /** @throws UserError if `path` is not a run folder */
  constructor(private readonly path: string) {
    this.folder = openRunFolder(path);
    this.metrics = new MetricsReader(this.folder.metricsFile);
  }

  /** The course of the run up to now. */
  readHistory(): RunHistory {
    this.metrics.read(this.history);
    return this.history;
  }

  /**
   * @param checkpoint whose kernels to draw
   * @returns `history` is the same object each time
   * @throws UserError if one of the run's files is malformed, or it has no such checkpoint
   */
  read(checkpoint: CheckpointChoice = 'latest'): ReportedRun {
    const { path, folder } = this;
    const history = this.readHistory();
    const configuration = loadConfiguration({ file: folder.configurationFile });
    return {
      name: path,
      configuration,
      summary: existsSync(folder.summaryFile) ? readSummary(folder) : null,
      history,
      kernels: kernelsOf(folder, configuration, checkpoint),
      classResults: readLastTest(folder),
    };
  }
}

/** null if the run has no checkpoint yet, or its first layer no kernels to draw. */
function kernelsOf(
  folder: RunFolder,
  configuration: Configuration,
  checkpoint: CheckpointChoice,
): ReportedRun['kernels'] {
  if (checkpoint === 'latest' && latestCheckpointPath(folder) === undefined) return null;
  return withCheckpoint(folder, checkpoint, ({ step, files }) => {
    const kernels = readFirstKernels(configuration, files.model);
    return kernels === null ? null : { ...kernels, step };
  });
}
