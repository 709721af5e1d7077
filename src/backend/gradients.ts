/**
 * The gradients of tfjs's operations.
 *
 * tfjs-core publishes them only as modules for a bundler: its build for Node lacks them. So the build bundles them into
 * one file (scripts/typescript.mjs). The umbrella package `@tensorflow/tfjs` has them too, with 230 MB of what
 * training does not need.
 */
import { createRequire } from 'node:module';

/** Registers the gradients in the calling thread. */
export function registerGradients(): void {
  createRequire(import.meta.url)('../../tfjs_gradients.cjs');
}
