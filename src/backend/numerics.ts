/** Choices about arithmetic that layers and kernels share. */

/**
 * Types of the operands of convolutions and matrix products; sums, results and parameters are float32. `tf32`, which GPUs have,
 * keeps 10 bits of the fraction, where `bf16` keeps 7.
 */
export const PRECISIONS = ['float32', 'bf16', 'tf32'] as const;

/** Type of the operands of convolutions and matrix products. */
export type Precision = (typeof PRECISIONS)[number];

/** Function applied to the result of a convolution or matrix product, after the bias. */
export type Activation = 'linear' | 'relu';
