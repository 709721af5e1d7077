/**
 * Reads Caffe's binary files: a trained network (`.caffemodel`) and the mean of its training images (`.binaryproto`).
 *
 * Both are protocol buffers; the field numbers are those of Caffe's caffe.proto. Of a network only the layers' names and
 * blobs are read, in the present format (`layer`) and the one before it (`layers`, V1).
 */
import { readFileSync, statSync } from 'node:fs';
import protobuf from 'protobufjs';
import { messageOf, UserError } from '../errors.js';
import type { StoredTensor, TensorMap } from '../runs/safetensors.js';

/** Packed floats have the wire format of bytes. Declared as bytes, they are not copied into an array of doubles. */
const SCHEMA = `
  syntax = "proto2";
  message Shape { repeated int64 dim = 1 [packed = true]; }
  message Blob {
    optional int64 num = 1; optional int64 channels = 2; optional int64 height = 3; optional int64 width = 4;
    repeated bytes data = 5; optional Shape shape = 7;
  }
  message Layer { optional string name = 1; repeated Blob blobs = 7; }
  message V1Layer { optional bytes layer = 1; optional string name = 4; repeated Blob blobs = 6; }
  message Net { repeated V1Layer layers = 2; repeated Layer layer = 100; }
`;

interface Blob {
  num?: number;
  channels?: number;
  height?: number;
  width?: number;
  data?: Uint8Array[];
  shape?: { dim?: number[] };
}

interface CaffeLayer {
  /** The layer as the format before V1 has it. */
  layer?: Uint8Array;
  name?: string;
  blobs?: Blob[];
}

const BLOB_NAMES = ['weight', 'bias'];

export function isCaffeModel(file: string): boolean {
  return file.endsWith('.caffemodel');
}

/**
 * Reads the layers' blobs as tensors `LAYER.weight` and `LAYER.bias`, in PyTorch's layout, which is Caffe's own. Kernels
 * of the image keep its order of channels, blue first.
 *
 * @throws UserError naming the file, and the layer whose blob is malformed
 */
export function readCaffeModel(file: string): TensorMap {
  const { layers = [], layer = [] } = decoded(file, 'Net') as {
    layers?: CaffeLayer[];
    layer?: CaffeLayer[];
  };
  if (layers.some((old) => old.layer !== undefined)) {
    throw new UserError(
      `${file} is in the oldest of Caffe's formats (V0): convert it with Caffe's upgrade_net_proto_binary`,
    );
  }
  const tensors: TensorMap = new Map();
  for (const { name = '', blobs = [] } of [...layers, ...layer]) {
    blobs.forEach((blob, index) => {
      const label = `${name}.${BLOB_NAMES[index] ?? index}`;
      if (tensors.has(label)) throw new UserError(`${file} has ${label} twice`);
      tensors.set(label, tensorOf(blob, index, `${file}: ${label}`));
    });
  }
  if (tensors.size === 0) {
    throw new UserError(`${file} holds no parameters: is it the .caffemodel of a trained network?`);
  }
  return tensors;
}

/**
 * Reads a mean image.
 *
 * @returns float32 `[height, width, 3]`, red first, 0 to 255
 * @throws UserError if it is no image of three channels
 */
export function readMeanFile(file: string): StoredTensor {
  const { shape, data } = tensorOf(decoded(file, 'Blob') as Blob, 0, file);
  const [channels, height, width] = shape.slice(-3) as [number, number, number];
  if (channels !== 3 || data.length !== 3 * height * width) {
    throw new UserError(`${file} is [${shape.join(', ')}]: a mean image has 3 channels`);
  }
  const area = height * width;
  const image = new Float32Array(data.length);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      image[pixel * 3 + channel] = data[(2 - channel) * area + pixel]!;
    }
  }
  return { shape: [height, width, 3], data: image };
}

/** Kernels for images whose channels come in the opposite order. @param kernels `[out, 3, height, width]` */
export function withChannelsReversed({ shape, data }: StoredTensor): StoredTensor {
  const area = shape[2]! * shape[3]!;
  const reversed = new Float32Array(new SharedArrayBuffer(data.byteLength));
  for (let at = 0; at < data.length; at += 3 * area) {
    for (let channel = 0; channel < 3; channel++) {
      const from = at + (2 - channel) * area;
      reversed.set(data.subarray(from, from + area), at + channel * area);
    }
  }
  return { shape, data: reversed };
}

function decoded(file: string, message: 'Net' | 'Blob'): unknown {
  try {
    // A pipe or a device would never end.
    if (!statSync(file).isFile()) throw new Error('it is no file');
    const type = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType(message);
    return type.toObject(type.decode(readFileSync(file)), { longs: Number });
  } catch (error) {
    throw new UserError(`cannot read ${file} as one of Caffe's binary files: ${messageOf(error)}`);
  }
}

/** @param index 0: a weight; 1: a bias @param what begins a message */
function tensorOf(blob: Blob, index: number, what: string): StoredTensor {
  const shape = shapeOf(blob, index);
  const pieces = blob.data ?? [];
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const expected = shape.reduce((product, length) => product * length, 4);
  if (bytes === 0 || bytes !== expected) {
    throw new UserError(
      `${what} [${shape.join(', ')}] should have ${expected} bytes of float32 values and has ${bytes}`,
    );
  }
  const data = new Float32Array(new SharedArrayBuffer(bytes));
  const target = new Uint8Array(data.buffer);
  let at = 0;
  for (const piece of pieces) {
    target.set(piece, at);
    at += piece.length;
  }
  return { shape, data };
}

/** Without `shape`, all blobs have four dimensions; the first of a bias and of a fully-connected weight are 1. */
function shapeOf(blob: Blob, index: number): number[] {
  const shape = blob.shape?.dim ?? [
    blob.num ?? 1,
    blob.channels ?? 1,
    blob.height ?? 1,
    blob.width ?? 1,
  ];
  const least = index === 0 ? 2 : 1;
  const isLegacy = shape.length === 4 && shape.slice(0, 4 - least).every((length) => length === 1);
  return isLegacy ? shape.slice(4 - least) : shape;
}
