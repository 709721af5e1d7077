/** Installs the development packages if they are missing: `npm run lint` and its like begin with it. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dependenciesInstalled, installDependencies } from './dependencies.mjs';
import { endSetUp } from './steps.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

if (!dependenciesInstalled(ROOT, true)) await installDependencies(ROOT, true).catch(endSetUp);
