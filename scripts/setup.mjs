/**
 * `npm run setup [-- --verbose]`: sets up everything, and tries again what failed before. `npm test` begins with it.
 *
 * All else is imported after the check of Node's version, because an old Node cannot read it.
 */
import { refuseOldNode } from './node_version.mjs';

refuseOldNode();
import('./steps.mjs').then(({ endSetUp, setUp }) => setUp({ all: true }).catch(endSetUp));
