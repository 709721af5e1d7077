/** Writes Caffe's binary files for tests, through the format's own field numbers (caffe.proto). */
import { writeFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import type { TensorMap } from '../../src/runs/safetensors.js';

const SCHEMA = `
  syntax = "proto2";
  message BlobShape { repeated int64 dim = 1 [packed = true]; }
  message BlobProto {
    optional int32 num = 1; optional int32 channels = 2; optional int32 height = 3; optional int32 width = 4;
    repeated float data = 5 [packed = true]; repeated float diff = 6 [packed = true]; optional BlobShape shape = 7;
  }
  message ConvolutionParameter { optional uint32 num_output = 1; optional uint32 group = 5; }
  message LayerParameter {
    optional string name = 1; optional string type = 2; repeated string bottom = 3; repeated string top = 4;
    repeated BlobProto blobs = 7; optional ConvolutionParameter convolution_param = 106;
  }
  message V1LayerParameter {
    optional V0LayerParameter layer = 1; repeated string bottom = 2; repeated string top = 3; optional string name = 4;
    optional int32 type = 5; repeated BlobProto blobs = 6; repeated float blobs_lr = 7;
    optional ConvolutionParameter convolution_param = 10;
  }
  message V0LayerParameter { optional string name = 1; repeated BlobProto blobs = 50; }
  message NetParameter {
    optional string name = 1; repeated V1LayerParameter layers = 2; repeated string input = 3;
    repeated LayerParameter layer = 100;
  }
`;
const { root } = protobuf.parse(SCHEMA, { keepCase: true });

function write(file: string, message: string, content: object): string {
  const type = root.lookupType(message);
  writeFileSync(file, type.encode(type.fromObject(content)).finish());
  return file;
}

type Version = 'V0' | 'V1' | 'current';

function blobOf({ shape, data }: { shape: number[]; data: Float32Array }, version: Version) {
  if (version === 'current') return { shape: { dim: shape }, data: [...data] };
  const [num, channels, height, width] = [1, 1, 1, ...shape].slice(-4);
  return { num, channels, height, width, data: [...data] };
}

/** @param tensors `LAYER.weight` and `LAYER.bias` of each layer, one after the other */
export function writeCaffeModel(file: string, tensors: TensorMap, version: Version): string {
  const names = [...new Set([...tensors.keys()].map((name) => name.split('.')[0]!))];
  const layers = names.map((name) => {
    const of = [...tensors].filter(([key]) => key.startsWith(`${name}.`));
    const blobs = of.map(([, tensor]) => blobOf(tensor, version));
    if (version === 'V0') return { layer: { name, blobs } };
    const convolution_param = { num_output: 1, group: 2 };
    const type = version === 'V1' ? 4 : 'Convolution';
    return { name, type, bottom: ['below'], top: [name], blobs, convolution_param };
  });
  // A layer without parameters, as ReLU is.
  const all = [{ name: 'data', bottom: [], top: ['data'] }, ...layers];
  return write(
    file,
    'NetParameter',
    version === 'current' ? { name: 'net', layer: all } : { name: 'net', layers: all },
  );
}

/** @param planes `[channels, height, width]` */
export function writeMeanFile(
  file: string,
  [channels, height, width]: [number, number, number],
  planes: Float32Array,
): string {
  return write(file, 'BlobProto', { num: 1, channels, height, width, data: [...planes] });
}
