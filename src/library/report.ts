/**
 * Reports as functions: run folders, or a comparison, as one HTML file that needs no other. Called by the
 * commands of those names, and by the dashboard for its page.
 */
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
import { checkpointFiles, latestCheckpoint, loadState } from '../runs/checkpoint.js';
import { firstKernelsIn } from '../runs/first_kernels.js';
import { openRunFolder } from '../runs/layout.js';
import { readLastTest } from '../runs/summary.js';
import { readSafetensors } from '../runs/safetensors.js';
import type { Comparison } from './compare.js';
import { loadRun } from './load_run.js';

/**
 * Writes the report of runs, over each other where there are several.
 *
 * @param runs run folders, at least one; a run may be under way
 * @param file replaced where it is there
 * @throws UserError where one is no run folder, or the file cannot be written
 */
export async function writeReport(runs: readonly string[], file: string): Promise<void> {
  writePage(file, await runReport(runs.map(reportedRun)));
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
export function reportedRun(path: string): ReportedRun {
  const folder = openRunFolder(path);
  const { configuration, metrics, summary } = loadRun(path);
  const checkpoint = latestCheckpoint(folder);
  return {
    ...{ name: path, configuration, summary },
    metrics: metrics.filter((event) => event.event !== 'skip'),
    kernels: checkpoint === undefined ? null : kernelsOf(configuration, checkpoint),
    classResults: readLastTest(folder),
  };
}

/** @param checkpoint its folder */
function kernelsOf(configuration: Configuration, checkpoint: string): ReportedRun['kernels'] {
  const { model, state } = checkpointFiles(checkpoint);
  const kernels = firstKernelsIn(configuration, readSafetensors(model));
  return kernels === null ? null : { ...kernels, step: loadState(state).step };
}
