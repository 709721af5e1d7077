/** TensorFlow's ConfigProto, as bytes for `TFE_ContextOptionsSetConfig`: the options of one thread's context. */
import protobuf from 'protobufjs';

/** What a worker's context may use. */
export interface ContextConfig {
  /** Threads that one operation may use; the context shares them with no other. */
  threads: number;
  /** CPU devices that the context shows (`CPU:0` …); more than one only to try pinning without GPUs. */
  logicalCpus: number;
}

/** The fields that are set; numbers from tensorflow/core/protobuf/config.proto. */
const SCHEMA = `
  syntax = "proto3";
  message GPUOptions { bool allow_growth = 4; }
  message ConfigProto {
    map<string, int32> device_count = 1;
    int32 intra_op_parallelism_threads = 2;
    int32 inter_op_parallelism_threads = 5;
    GPUOptions gpu_options = 6;
  }
`;

const ConfigProto = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('ConfigProto');

export function encodeContextConfig({ threads, logicalCpus }: ContextConfig): Uint8Array {
  const config = ConfigProto.fromObject({
    device_count: { CPU: logicalCpus },
    intra_op_parallelism_threads: threads,
    // Operations run one after another in the calling thread.
    inter_op_parallelism_threads: 1,
    // Without growth the first worker would take a whole GPU's memory.
    gpu_options: { allow_growth: true },
  });
  return ConfigProto.encode(config).finish();
}
