/** The gradients of one batch against finite differences of its loss, through the real workers and exchanges. */
import { crossEntropyOf, rowOf } from '../model/probabilities.js';
import type { Coordinator } from '../parallel/coordinator.js';
import type { SharedBatch } from '../parallel/shared_batch.js';

/** A gradient along its own direction, by backpropagation and by a finite difference of the loss. */
export interface GradientCheck {
  parameter: string;
  /** Norm of the gradient. */
  analytic: number;
  /** Change of the loss along it, by central difference. */
  numeric: number;
  /** |numeric − analytic| divided by the larger of the two; NaN if the gradient is 0. */
  relativeError: number;
}

/**
 * Change of the loss by a finite difference, as a share of the logits' root mean square. It is some hundred times
 * the rounding error of the mean loss over a batch.
 */
const LOSS_CHANGE = 1e-4;

/** The training step whose dropout masks are used throughout. */
const STEP = 1;

/**
 * Checks one parameter tensor after another: along the direction of its gradient the loss must change by the
 * gradient's norm. Each tensor is moved just as far as the float32 rounding of the logits requires, because ReLU and
 * pooling soon bend the loss if the weights are small.
 *
 * @param beforeEach hears before each tensor how many are checked, and of how many
 * @param signal ends the check between two computations
 * @throws NotFiniteError if the loss or a gradient is not finite; the reason of `signal`
 */
export async function compareWithFiniteDifferences(
  coordinator: Coordinator,
  batch: SharedBatch,
  beforeEach?: (done: number, of: number) => void,
  signal?: AbortSignal,
): Promise<GradientCheck[]> {
  const norms = await coordinator.computeGradientNorms(STEP, batch);
  const logits = await coordinator.logitsOf(batch, STEP);
  const squareOfLogits = logits.reduce((sum, logit) => sum + logit ** 2, 0);
  const [squares, count] = await overAllImages(coordinator, [squareOfLogits, logits.length]);
  const change = LOSS_CHANGE * Math.sqrt(squares! / count!);
  const checks: GradientCheck[] = [];
  const { parameters } = coordinator.network;
  for (const { name } of parameters) {
    signal?.throwIfAborted();
    beforeEach?.(checks.length, parameters.length);
    const analytic = norms[name]!;
    if (analytic === 0) {
      checks.push({ parameter: name, analytic, numeric: 0, relativeError: Number.NaN });
      continue;
    }
    const length = change / analytic;
    const scale = length / analytic;
    await coordinator.perturb(name, scale);
    const above = await lossOf(coordinator, batch);
    await coordinator.perturb(name, -2 * scale);
    const below = await lossOf(coordinator, batch);
    await coordinator.perturb(name, scale);
    const numeric = (above - below) / (2 * length);
    const relativeError = Math.abs(numeric - analytic) / Math.max(Math.abs(numeric), analytic);
    checks.push({ parameter: name, analytic, numeric, relativeError });
  }
  await coordinator.discard();
  return checks;
}

/** Mean loss over the batch in float64: the float32 loss of the towers would leave a finite difference no digits. */
async function lossOf(coordinator: Coordinator, batch: SharedBatch): Promise<number> {
  const logits = await coordinator.logitsOf(batch, STEP);
  const labels = new Int32Array(batch.labels, 0, batch.count);
  const losses = Array.from(labels, (label, image) =>
    crossEntropyOf(rowOf(logits, image, batch.count), label),
  );
  const own = losses.reduce((sum, loss) => sum + loss, 0);
  const [sum, images] = await overAllImages(coordinator, [own, batch.count]);
  return sum! / images!;
}

/** Sums over the images of all hosts. @param own of this host's */
function overAllImages({ world }: Coordinator, own: number[]): Promise<number[]> {
  return world.agree(world.isFirstOfShare ? own : own.map(() => 0));
}
