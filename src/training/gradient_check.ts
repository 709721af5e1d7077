/**
 * The gradients of one batch against finite differences of its loss, through a coordinator's own workers and exchanges.
 */
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
  /** |numeric − analytic| / the larger; not a number where the gradient is 0. */
  relativeError: number;
}

/** Change of the loss by a finite difference, as a share of the logits' size: some hundred times their rounding in the mean over a batch. */
const LOSS_CHANGE = 1e-4;

/** Whose dropout masks hold throughout. */
const STEP = 1;

/**
 * A parameter tensor at a time: along the gradient's own direction the loss must change by the gradient's norm.
 * Each is moved as far as the logits' float32 rounding demands and no farther, as ReLU and pooling bend the loss
 * soon where weights are small.
 *
 * @param onChecked called before each tensor with how many are done
 * @throws NotFiniteError where loss or gradients are not finite
 */
export async function compareWithFiniteDifferences(
  coordinator: Coordinator,
  batch: SharedBatch,
  onChecked?: (done: number, of: number) => void,
): Promise<GradientCheck[]> {
  const norms = await coordinator.computeGradientNorms(STEP, batch);
  const logits = await coordinator.logitsOf(batch, STEP);
  const squareOfLogits = logits.reduce((sum, logit) => sum + logit ** 2, 0);
  const change = LOSS_CHANGE * Math.sqrt(squareOfLogits / logits.length);
  const checks: GradientCheck[] = [];
  const { parameters } = coordinator.network;
  for (const { name } of parameters) {
    onChecked?.(checks.length, parameters.length);
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

/** Mean over the batch, in float64: the tower's own float32 would leave a finite difference no digits. */
async function lossOf(coordinator: Coordinator, batch: SharedBatch): Promise<number> {
  const logits = await coordinator.logitsOf(batch, STEP);
  const labels = new Int32Array(batch.labels, 0, batch.count);
  const losses = Array.from(labels, (label, image) =>
    crossEntropyOf(rowOf(logits, image, batch.count), label),
  );
  return losses.reduce((sum, loss) => sum + loss, 0) / batch.count;
}
