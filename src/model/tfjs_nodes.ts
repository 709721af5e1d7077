/** The nodes and constants of a TensorFlow graph in JSON, as TensorFlow.js reads it: GraphDef's fields, its strings in base64. */

/** TensorFlow's AttrValue. */
type Attribute =
  | { type: string }
  | { i: string }
  | { f: number }
  | { b: boolean }
  | { s: string }
  | { shape: TensorShape }
  | { tensor: { dtype: string; tensorShape: TensorShape } }
  | { list: { i: string[] } };

export type Attributes = Record<string, Attribute>;

interface TensorShape {
  dim: { size: string }[];
}

/** TensorFlow's NodeDef. */
export interface GraphNode {
  name: string;
  op: string;
  input: string[];
  attr: Attributes;
}

/** The data of a `Const` node. */
export interface GraphWeight {
  name: string;
  shape: number[];
  dtype: 'float32' | 'int32';
  data: Float32Array | Int32Array;
}

/** An input or output of the whole graph. */
export interface TensorDescription {
  name: string;
  dtype: string;
  tensorShape: TensorShape;
}

const FLOAT: Attribute = { type: 'DT_FLOAT' };
const TYPES = { float32: 'DT_FLOAT', int32: 'DT_INT32' };

/** Collects nodes, in an order in which they can be computed. Each method returns the name of its result. */
export class GraphNodes {
  readonly nodes: GraphNode[] = [];
  readonly weights: GraphWeight[] = [];

  /** @param shape −1 for any length */
  placeholder(name: string, shape: number[]): string {
    const attr: Attributes = { dtype: FLOAT, shape: { shape: shapeOf(shape) } };
    this.nodes.push({ name, op: 'Placeholder', input: [], attr });
    return name;
  }

  add(op: string, name: string, input: string[], attr: Attributes = {}): string {
    this.nodes.push({ name, op, input, attr: { T: FLOAT, ...attr } });
    return name;
  }

  constant(name: string, shape: number[], data: Float32Array | Int32Array): string {
    const dtype = data instanceof Float32Array ? 'float32' : 'int32';
    this.weights.push({ name, shape, dtype, data });
    const tensor = { dtype: TYPES[dtype], tensorShape: shapeOf(shape) };
    const attr: Attributes = { dtype: { type: TYPES[dtype] }, value: { tensor } };
    this.nodes.push({ name, op: 'Const', input: [], attr });
    return name;
  }

  scalar(name: string, value: number): string {
    return this.constant(name, [], Float32Array.of(value));
  }

  /** A vector of whole numbers, such as a shape. */
  integers(name: string, values: number[]): string {
    return this.constant(name, [values.length], Int32Array.from(values));
  }

  axis(name: string, axis: number): string {
    return this.constant(name, [], Int32Array.of(axis));
  }

  concat(name: string, inputs: string[], axis: number): string {
    const attributes: Attributes = { N: { i: String(inputs.length) } };
    return this.add('ConcatV2', name, [...inputs, this.axis(`${name}/axis`, axis)], attributes);
  }

  /** @returns the names of equal parts */
  split(name: string, input: string, parts: number, axis: number): string[] {
    const attributes: Attributes = { num_split: { i: String(parts) } };
    this.add('Split', name, [this.axis(`${name}/axis`, axis), input], attributes);
    return Array.from({ length: parts }, (_, part) => `${name}:${part}`);
  }

  /** @param widths before and after each dimension */
  pad(name: string, input: string, widths: number[], value: number): string {
    const shape = [widths.length / 2, 2];
    return this.add('PadV2', name, [
      input,
      this.constant(`${name}/widths`, shape, Int32Array.from(widths)),
      this.scalar(`${name}/value`, value),
    ]);
  }

  /** The rows of `input` with these indices. */
  gather(name: string, input: string, rows: Int32Array): string {
    return this.add('GatherV2', name, [
      input,
      this.constant(`${name}/rows`, [rows.length], rows),
      this.axis(`${name}/axis`, 0),
    ]);
  }

  transpose(name: string, input: string, order: number[]): string {
    return this.add('Transpose', name, [input, this.integers(`${name}/order`, order)]);
  }

  reshape(name: string, input: string, shape: number[]): string {
    return this.add('Reshape', name, [input, this.integers(`${name}/shape`, shape)]);
  }

  /** @param windows `size` and `stride`, in pixels, of windows that lie inside their input */
  pool(
    op: 'AvgPool' | 'MaxPool',
    name: string,
    input: string,
    windows: { size: number; stride: number },
  ): string {
    const { size, stride } = windows;
    return this.add(op, name, [input], {
      ksize: integers([1, size, size, 1]),
      strides: integers([1, stride, stride, 1]),
      padding: text('VALID'),
      data_format: text('NHWC'),
    });
  }
}

/** An attribute that is a list of whole numbers. */
export function integers(values: number[]): Attribute {
  return { list: { i: values.map(String) } };
}

/** An attribute that is a string. */
export function text(value: string): Attribute {
  return { s: Buffer.from(value).toString('base64') };
}

/** @param shape −1 for any length */
export function description(name: string, shape: number[]): TensorDescription {
  return { name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: shapeOf(shape) };
}

function shapeOf(lengths: number[]): TensorShape {
  return { dim: lengths.map((length) => ({ size: String(length) })) };
}
