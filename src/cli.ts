/** The command line: `twotower COMMAND`, or `npm start -- COMMAND` in a checkout. */
import { inspect } from 'node:util';
import { hideBin } from 'yargs/helpers';
import { aThreadLasts, endProcess } from './backend/process_end.js';
import { runCommandLine } from './commands/command_line.js';
import { messageOf, UserError } from './errors.js';
import { WorkerFailure } from './parallel/worker_failure.js';
import { note } from './report/printing.js';

/**
 * Prints what was thrown and sets the exit code to 1. A UserError is one line, followed by the stack if a
 * worker threw it.
 */
function report(thrown: unknown): void {
  process.exitCode = 1;
  note(thrown instanceof UserError ? `twotower: ${messageOf(thrown)}` : inspect(thrown));
  if (thrown instanceof WorkerFailure && thrown.defect !== undefined) note(thrown.defect);
}

/** The reader of the output has ended, as `head` does; the terminal was closed; the disk is full. */
const OUTPUT_LOST = ['EPIPE', 'EIO', 'ENOSPC'];

/** If nothing more can be printed, the process ends as by SIGTERM, on which `train` saves first. */
let isOutputLost = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!OUTPUT_LOST.includes(error.code ?? '')) throw error;
    if (isOutputLost) return;
    isOutputLost = true;
    // stderr may be another file.
    if (error.code === 'ENOSPC')
      note(`twotower: the output cannot be written: ${messageOf(error)}`);
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(141);
  });
}

await runCommandLine(hideBin(process.argv)).catch(report);
if (aThreadLasts()) endProcess(Number(process.exitCode ?? 0));
