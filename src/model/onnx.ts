/**
 * A network and its parameters as an ONNX model, for ONNX Runtime and others.
 *
 * Its input is `images` [batch, channels, height, width] float32, normalized as for training; its output is `logits`
 * [batch, classes], before the softmax. Convolutions that read their own tower become grouped convolutions. Other
 * layers that read their own tower (LRN, fully connected) are split by tower and concatenated. Dropout is left out.
 * The operators are those of opset 13, the field numbers those of ONNX's onnx.proto.
 */
import protobuf from 'protobufjs';
import { UserError } from '../errors.js';
import type { LrnLayer } from './layers.js';
import { beyondFarEdges, elements, type Layer, type Network } from './network.js';
import { outputsOfRank } from './shares.js';

/** A whole parameter tensor in canonical layout. */
interface Values {
  shape: number[];
  data: Float32Array;
}

export interface OnnxOptions {
  /** Batch size, or `dynamic` for any. */
  batch: number | 'dynamic';
  /** Strings that the model carries, such as how its input is normalized. */
  metadata: Record<string, string>;
}

const OPSET = 13;
const IR_VERSION = 7;
/** TensorProto.DataType. */
const FLOAT = 1;
/** AttributeProto.AttributeType. */
const ATTRIBUTE = { float: 1, int: 2, ints: 7 };

const SCHEMA = `
  syntax = "proto2";
  message Attribute {
    optional string name = 1; optional float f = 2; optional int64 i = 3; repeated int64 ints = 8;
    optional int32 type = 20;
  }
  message Node {
    repeated string input = 1; repeated string output = 2; optional string name = 3;
    optional string op_type = 4; repeated Attribute attribute = 5;
  }
  message Tensor {
    repeated int64 dims = 1 [packed = false]; optional int32 data_type = 2; optional string name = 8;
    optional bytes raw_data = 9;
  }
  message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
  message Shape { repeated Dimension dim = 1; }
  message TensorType { optional int32 elem_type = 1; optional Shape shape = 2; }
  message Type { optional TensorType tensor_type = 1; }
  message ValueInfo { optional string name = 1; optional Type type = 2; }
  message Graph {
    repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5;
    repeated ValueInfo input = 11; repeated ValueInfo output = 12;
  }
  message OperatorSet { optional string domain = 1; optional int64 version = 2; }
  message Entry { optional string key = 1; optional string value = 2; }
  message Model {
    optional int64 ir_version = 1; optional string producer_name = 2; optional Graph graph = 7;
    repeated OperatorSet opset_import = 8; repeated Entry metadata_props = 14;
  }
`;

/**
 * Builds the model.
 *
 * @param parameters all of the network's, in canonical layout
 * @returns the bytes of the model file
 * @throws UserError that names a layer with no ONNX equivalent here
 */
export function onnxModel(
  network: Network,
  parameters: Map<string, Values>,
  { batch, metadata }: OnnxOptions,
): Uint8Array {
  const graph = new GraphBuilder(network, parameters);
  network.layers.forEach((layer) => graph.add(layer));
  const first = batch === 'dynamic' ? { dim_param: 'batch' } : { dim_value: batch };
  const { height, width, channels } = network.input;
  const model = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Model');
  const content = {
    ir_version: IR_VERSION,
    producer_name: 'twotower',
    opset_import: [{ domain: '', version: OPSET }],
    metadata_props: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: 'twotower',
      ...graph.finish(),
      input: [valueInfo('images', [first, ...[channels, height, width].map(dimension)])],
      output: [valueInfo('logits', [first, dimension(network.classes)])],
    },
  };
  return model.encode(model.fromObject(content)).finish();
}

type Attributes = Record<string, { f: number } | { i: number } | { ints: number[] }>;

class GraphBuilder {
  private readonly nodes: object[] = [];
  private readonly initializers: object[] = [];
  /** Name of the value that the next layer will read. */
  private current = 'images';
  private isFlat = false;
  private channels: number;

  constructor(
    private readonly network: Network,
    private readonly parameters: Map<string, Values>,
  ) {
    this.channels = network.input.channels;
  }

  add(layer: Layer): void {
    const { specification, name } = layer;
    switch (specification.type) {
      case 'conv': {
        const { size, stride, pad } = specification;
        const [below, right] = beyondFarEdges(layer);
        const kernel = this.parameters.get(`${name}.weight`)!;
        this.node('Conv', name, [`${name}.weight`, `${name}.bias`], {
          kernel_shape: { ints: [size, size] },
          strides: { ints: [stride, stride] },
          pads: { ints: [pad, pad, pad + below, pad + right] },
          group: { i: this.channels / kernel.shape[1]! },
        });
        this.store(`${name}.weight`);
        this.store(`${name}.bias`);
        break;
      }
      case 'fc':
        this.fullyConnected(layer);
        break;
      case 'relu':
        this.node('Relu', name);
        break;
      case 'lrn':
        this.normalization(layer, specification);
        break;
      case 'maxPool': {
        const { size, stride, ceil = false } = specification;
        const attributes = {
          kernel_shape: { ints: [size, size] },
          strides: { ints: [stride, stride] },
          ...(ceil && { ceil_mode: { i: 1 } }),
        };
        this.node('MaxPool', name, [], attributes);
        break;
      }
      case 'dropout':
        break;
      default:
        throw new UserError(
          `layer ${name}: ONNX export does not support its type; export --format safetensors does`,
        );
    }
    this.channels = layer.output.channels * this.network.towers;
  }

  finish(): { node: object[]; initializer: object[] } {
    this.nodes.push({
      op_type: 'Identity',
      name: 'logits',
      input: [this.current],
      output: ['logits'],
    });
    return { node: this.nodes, initializer: this.initializers };
  }

  private fullyConnected({ name, gathers, index }: Layer): void {
    if (!this.isFlat) this.node('Flatten', `${name}.flatten`, [], { axis: { i: 1 } });
    this.isFlat = true;
    const multiply = (label: string) =>
      this.node('Gemm', label, [`${label}.weight`, `${label}.bias`], { transB: { i: 1 } });
    if (gathers || index === 0 || this.network.towers === 1) {
      this.store(`${name}.weight`);
      this.store(`${name}.bias`);
      multiply(name);
      return;
    }
    this.byTower(name, (label, tower) => {
      this.store(`${name}.weight`, `${label}.weight`, tower);
      this.store(`${name}.bias`, `${label}.bias`, tower);
      multiply(label);
    });
  }

  /** ONNX divides alpha by the size of the window; here alpha multiplies the sum itself. */
  private normalization({ name, gathers }: Layer, { size, k, alpha, beta }: LrnLayer): void {
    const attributes = {
      size: { i: size },
      bias: { f: k },
      alpha: { f: alpha * size },
      beta: { f: beta },
    };
    if (gathers || this.network.towers === 1) this.node('LRN', name, [], attributes);
    // The window ends at the boundary between towers.
    else this.byTower(name, (label) => this.node('LRN', label, [], attributes));
  }

  private byTower(name: string, each: (label: string, tower: number) => void): void {
    const labels = Array.from({ length: this.network.towers }, (_, tower) => `${name}.${tower}`);
    const parts = labels.map((label) => `${label}.own`);
    const attribute = [this.attribute('axis', { i: 1 })];
    this.nodes.push({
      op_type: 'Split',
      name: `${name}.split`,
      input: [this.current],
      output: parts,
      attribute,
    });
    const results = labels.map((label, tower) => {
      this.current = parts[tower]!;
      each(label, tower);
      return this.current;
    });
    this.nodes.push({
      op_type: 'Concat',
      name,
      input: results,
      output: [`${name}.out`],
      attribute,
    });
    this.current = `${name}.out`;
  }

  /** Adds an operator that reads the current value; its output becomes the current one. */
  private node(
    operator: string,
    name: string,
    constants: string[] = [],
    attributes: Attributes = {},
  ): void {
    this.nodes.push({
      op_type: operator,
      name,
      input: [this.current, ...constants],
      output: [`${name}.out`],
      attribute: Object.entries(attributes).map(([key, value]) => this.attribute(key, value)),
    });
    this.current = `${name}.out`;
  }

  private attribute(name: string, value: Attributes[string]): object {
    const type = 'f' in value ? ATTRIBUTE.float : 'i' in value ? ATTRIBUTE.int : ATTRIBUTE.ints;
    return { name, type, ...value };
  }

  /** Adds a parameter as a constant. @param as its name in the model @param tower only this tower's share */
  private store(name: string, as = name, tower?: number): void {
    const { shape, data } = this.parameters.get(name)!;
    const towers = tower === undefined ? 1 : this.network.towers;
    const { first, count } = outputsOfRank(shape[0]!, tower ?? 0, towers);
    const perOutput = elements(shape.slice(1));
    const share = data.subarray(first * perOutput, (first + count) * perOutput);
    this.initializers.push({
      name: as,
      dims: [count, ...shape.slice(1)],
      data_type: FLOAT,
      raw_data: new Uint8Array(share.buffer, share.byteOffset, share.byteLength),
    });
  }
}

const dimension = (length: number): object => ({ dim_value: length });

function valueInfo(name: string, dim: object[]): object {
  return { name, type: { tensor_type: { elem_type: FLOAT, shape: { dim } } } };
}
