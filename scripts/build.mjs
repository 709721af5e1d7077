/** `npm run build`: checks the types and compiles everything into dist/. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endSetUp } from './steps.mjs';
import { buildTypescript } from './typescript.mjs';

buildTypescript(dirname(dirname(fileURLToPath(import.meta.url))), true).catch(endSetUp);
