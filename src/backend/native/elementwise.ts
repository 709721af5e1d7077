/** Element-wise kernels: arithmetic with broadcasting, comparisons, functions, selection, conversion. */
import * as tf from '@tensorflow/tfjs-core';
import { ADD_TO_CHANNELS, RELU_GRADIENT } from '../own_kernels.js';
import type { BinaryOperation, UnaryOperation } from './addon_arrays.js';
import type { Inputs, Kernel, Kernels } from './kernel.js';
import type { ArrayType } from './device_backend.js';

export const elementwiseKernels: Kernels = {
  Add: arithmetic('add'),
  Sub: arithmetic('sub'),
  Multiply: arithmetic('mul'),
  Maximum: arithmetic('maximum'),
  Minimum: arithmetic('minimum'),
  SquaredDifference: arithmetic('squaredDifference'),
  RealDiv: arithmetic('div', ['float32']),
  Pow: arithmetic('pow', ['float32']),

  Equal: comparison('equal'),
  NotEqual: comparison('notEqual'),
  Greater: comparison('greater'),
  GreaterEqual: comparison('greaterEqual'),
  Less: comparison('less'),
  LessEqual: comparison('lessEqual'),
  LogicalAnd: comparison('logicalAnd', ['bool']),
  LogicalOr: comparison('logicalOr', ['bool']),

  Relu: unary('relu'),
  Relu6: unary('relu6'),
  Elu: unary('elu'),
  Sigmoid: unary('sigmoid'),
  Tanh: unary('tanh'),
  Softplus: unary('softplus'),
  Sqrt: unary('sqrt'),
  Rsqrt: unary('rsqrt'),
  Square: unary('square'),
  Reciprocal: unary('reciprocal'),
  Exp: unary('exp'),
  Expm1: unary('expm1'),
  Log: unary('log'),
  Log1p: unary('log1p'),
  Neg: unary('neg'),
  Abs: unary('abs'),
  Sign: unary('sign'),
  Floor: unary('floor'),
  Ceil: unary('ceil'),
  Round: unary('round'),
  Sin: unary('sin'),
  Cos: unary('cos'),
  Step: unary('step', ({ alpha }: tf.StepAttrs) => [alpha, 0]),
  LeakyRelu: unary('leakyRelu', ({ alpha }: tf.LeakyReluAttrs) => [alpha, 0]),
  ClipByValue: unary('clip', ({ clipValueMin, clipValueMax }: tf.ClipByValueAttrs) => [
    clipValueMin,
    clipValueMax,
  ]),

  [RELU_GRADIENT]: (backend, { dy, y }: Inputs<'dy' | 'y'>) => {
    const gradient = backend.float32(dy);
    const output = backend.float32(y);
    if (!gradient || !output) return undefined;
    const dx = backend.allocate(y.shape);
    backend.addon.reluGradient(gradient, output, dx);
    return backend.makeTensorInfo(y.shape, 'float32', dx);
  },

  [ADD_TO_CHANNELS]: (
    backend,
    { all, term }: Inputs<'all' | 'term'>,
    { first }: { first: number },
  ) => {
    const wide = backend.float32(all);
    const values = backend.float32(term);
    if (!wide || !values) return undefined;
    const out = backend.allocate(term.shape);
    backend.addon.addToChannels(wide, values, out, all.shape.at(-1)!, first);
    return backend.makeTensorInfo(term.shape, 'float32', out);
  },

  AddN: (backend, inputs: tf.TensorInfo[]) => {
    const terms = inputs.map((term) => backend.float32(term)).filter((term) => term !== undefined);
    const [first, second, ...others] = terms;
    if (terms.length < inputs.length || !first || !second) return undefined;
    const { shape } = inputs[0]!;
    const sum = backend.allocate(shape);
    backend.addon.binary('add', first, shape, second, shape, sum, shape);
    for (const term of others) backend.addon.binary('add', sum, shape, term, shape, sum, shape);
    return backend.makeTensorInfo(shape, 'float32', sum);
  },

  Select: (backend, { condition, t, e }: Inputs<'condition' | 't' | 'e'>) => {
    const conditions = backend.arrayOf(condition);
    const whereTrue = backend.arrayOf(t);
    const whereFalse = backend.arrayOf(e);
    if (!conditions || condition.dtype !== 'bool' || !whereTrue || !whereFalse) return undefined;
    // A condition of rank 1 would select whole rows.
    const isElementwise = tf.util.sizeFromShape(condition.shape) === tf.util.sizeFromShape(t.shape);
    if (t.dtype !== e.dtype || !isElementwise) return undefined;
    const out = backend.allocate(t.shape, t.dtype as ArrayType);
    backend.addon.select(conditions, whereTrue, whereFalse, out);
    return backend.makeTensorInfo(t.shape, t.dtype, out);
  },

  Cast: (backend, { x }: Inputs<'x'>, { dtype }: tf.CastAttrs) => {
    if (x.dtype === dtype) {
      backend.incRef(x.dataId);
      return { dataId: x.dataId, shape: x.shape, dtype };
    }
    const values = backend.arrayOf(x);
    if (!values || !isArrayType(dtype)) return undefined;
    const out = backend.allocate(x.shape, dtype);
    backend.addon.cast(values, out);
    return backend.makeTensorInfo(x.shape, dtype, out);
  },
};

function isArrayType(dtype: tf.DataType): dtype is ArrayType {
  return dtype === 'float32' || dtype === 'int32' || dtype === 'bool';
}

/** A kernel for a ∘ b whose result has the type of its operands, one of `types`. */
function arithmetic(
  operation: BinaryOperation,
  types: readonly ArrayType[] = ['float32', 'int32'],
): Kernel {
  return binary(operation, types, (dtype) => dtype);
}

/** A kernel for a ∘ b whose result is bool, for operands of one of `types`. */
function comparison(
  operation: BinaryOperation,
  types: readonly ArrayType[] = ['float32', 'int32', 'bool'],
): Kernel {
  return binary(operation, types, () => 'bool');
}

function binary(
  operation: BinaryOperation,
  types: readonly ArrayType[],
  resultOf: (dtype: ArrayType) => ArrayType,
): Kernel {
  return (backend, { a, b }: Inputs<'a' | 'b'>) => {
    const type = types.find((candidate) => candidate === a.dtype && candidate === b.dtype);
    const aValues = backend.arrayOf(a);
    const bValues = backend.arrayOf(b);
    if (!type || !aValues || !bValues) return undefined;
    const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const out = backend.allocate(shape, resultOf(type));
    backend.addon.binary(operation, aValues, a.shape, bValues, b.shape, out, shape);
    return backend.makeTensorInfo(shape, resultOf(type), out);
  };
}

/** @param parametersOf the operation's parameters from the kernel's attributes */
function unary<Attributes>(
  operation: UnaryOperation,
  parametersOf: (attributes: Attributes) => [number, number] = () => [0, 0],
): Kernel {
  return (backend, { x }: Inputs<'x'>, attributes: Attributes) => {
    const values = backend.float32(x);
    if (!values) return undefined;
    const out = backend.allocate(x.shape);
    backend.addon.unary(operation, values, out, ...parametersOf(attributes));
    return backend.makeTensorInfo(x.shape, 'float32', out);
  };
}
