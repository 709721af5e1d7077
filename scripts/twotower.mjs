#!/usr/bin/env node
/**
 * The command `twotower`, and `npm start --`: sets up what is not in place, then runs the command line in this
 * process.
 *
 * Must not import npm packages: it runs before they are installed. All else is imported after the check of
 * Node's version, because an old Node cannot read it.
 */
import { refuseOldNode } from './node_version.mjs';

refuseOldNode();
import('./steps.mjs')
  .then(({ endSetUp, setUp }) => setUp({ all: false }).catch(endSetUp))
  .then(() => import('../dist/src/cli.js'));
