/**
 * TensorFlow's ConfigProto, as bytes for `TFE_ContextOptionsSetConfig`: the options of one thread's
 * context. Encoded by hand, since five fields do not need a protobuf compiler. Field numbers are those of
 * tensorflow/core/protobuf/config.proto.
 */

/** What a worker's context may use. */
export interface ContextConfig {
  /** Threads that one operation may use, all of this context's own. */
  threads: number;
  /** CPU devices that the context shows (`CPU:0` …); more than one only to try pinning without GPUs. */
  logicalCpus: number;
}

/** Wire types of the protobuf encoding. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** `device_count {CPU}`, `intra_` and `inter_op_parallelism_threads`, `gpu_options.allow_growth`. */
export function encodeContextConfig({ threads, logicalCpus }: ContextConfig): Uint8Array {
  // A map entry: key is field 1, value field 2.
  const cpus = [
    ...bytesField(1, [...new TextEncoder().encode('CPU')]),
    ...varintField(2, logicalCpus),
  ];
  return Uint8Array.from([
    ...bytesField(1, cpus),
    ...varintField(2, threads),
    // Operations run one after another in the calling thread.
    ...varintField(5, 1),
    // Without growth the first worker would take a whole GPU's memory.
    ...bytesField(6, varintField(4, 1)),
  ]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return [...bytes, value];
}

function varintField(field: number, value: number): number[] {
  return [...varint(field * 8 + VARINT), ...varint(value)];
}

function bytesField(field: number, bytes: number[]): number[] {
  return [...varint(field * 8 + LENGTH_DELIMITED), ...varint(bytes.length), ...bytes];
}
