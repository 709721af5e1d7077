/** Reports of run folders, or of a comparison, as one self-contained HTML file. */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Configuration } from '../configuration.js';
import { writeDurably } from '../durable_file.js';
import { UserError } from '../errors.js';
import { comparisonReport } from '../report/comparison_report.js';
import { pageBody, pageDocument } from '../report/page.js';
import type { PageContent } from '../report/page.js';
import { runReport } from '../report/run_report.js';
import type { ReportedRun } from '../report/run_report.js';
import { latestCheckpointPath, withCheckpoint } from '../runs/checkpoint_reader.js';
import type { CheckpointChoice } from '../runs/checkpoint_reader.js';
import { readFirstKernels } from '../runs/first_kernels.js';
import { openRunFolder } from '../runs/layout.js';
import type { RunFolder } from '../runs/layout.js';
import { readLastTest } from '../runs/summary.js';
import type { Comparison } from './compare.js';
import { loadRun } from './load_run.js';

/**
 * Writes the report of runs, over each other if there are several.
 *
 * @param runs run folders, at least one; a run may be under way
 * @param file replaced if it exists
 * @param checkpoint whose kernels to draw (default: the latest)
 * @throws UserError if one is no run folder or has no such checkpoint, or the file cannot be written
 */
export async function writeReport(
  runs: readonly string[],
  file: string,
  checkpoint?: CheckpointChoice,
): Promise<void> {
  writePage(file, await runReport(runs.map((run) => reportedRun(run, checkpoint))));
}

/** Writes the report of timings. */
export function writeComparison(comparison: Comparison, file: string): void {
  writePage(file, comparisonReport(comparison));
}

/** @throws UserError where the file's folder is not there: known before hours of work, not after them */
export function refuseReportFile(file: string): void {
  const folder = dirname(file);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UserError(`--report ${file}: there is no folder ${folder}; make it, or name another`);
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new UserError(
      `--report ${file} is a folder: name a file, such as ${join(file, 'report.html')}`,
    );
  }
}

function writePage(file: string, content: PageContent): void {
  const page = pageDocument(content.title, pageBody(content), false);
  writeDurably(file, [new TextEncoder().encode(page)]);
}

/** All that a report tells of a run, read from its folder. */
export function reportedRun(path: string, checkpoint: CheckpointChoice = 'latest'): ReportedRun {
  const folder = openRunFolder(path);
  const { configuration, metrics, summary } = loadRun(path);
  return {
    ...{ name: path, configuration, summary },
    metrics: metrics.filter((event) => event.event !== 'skip'),
    kernels: kernelsOf(folder, configuration, checkpoint),
    classResults: readLastTest(folder),
  };
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
