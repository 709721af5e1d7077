/** The parts of the GPU check, in their order. */
import type { Report } from './figures.js';
import { checkGolden } from './golden.js';
import { checkImages } from './images.js';
import { checkKernels } from './kernels.js';
import { checkSanitizer } from './sanitizer.js';
import { trainSeed } from './seed.js';
import type { Settings } from './settings.js';
import { timePlacements } from './speed.js';
import { timePyTorch } from './pytorch.js';
import {
  checkGradients,
  checkGraphs,
  checkMemory,
  checkPlacements,
  checkResume,
} from './training.js';
import { reportVersions } from './versions.js';

export interface Part {
  /** What it shows, in the reports. */
  title: string;
  run: (settings: Settings, report: Report) => Promise<void>;
}

/** Correctness first: should time run out, speed is what is missing. */
export const PARTS = {
  versions: { title: 'Versions', run: reportVersions },
  kernels: { title: 'Kernels against float64', run: checkKernels },
  golden: { title: "PyTorch's golden tensors", run: checkGolden },
  images: { title: "JPEGs by nvJPEG against the CPU's", run: checkImages },
  gradients: { title: 'Gradients by finite differences', run: checkGradients },
  placements: { title: 'Split against grouped and the CPU', run: checkPlacements },
  graphs: { title: 'Steps repeated as CUDA graphs', run: checkGraphs },
  resume: { title: 'Resuming to the bit', run: checkResume },
  memory: { title: 'Growth of device memory', run: checkMemory },
  sanitizer: { title: 'compute-sanitizer', run: checkSanitizer },
  compare: { title: 'Speed of the placements', run: timePlacements },
  seed: { title: "The reference's ten epochs", run: trainSeed },
  pytorch: { title: 'Speed against PyTorch', run: timePyTorch },
} as const satisfies Record<string, Part>;

export type PartName = keyof typeof PARTS;
