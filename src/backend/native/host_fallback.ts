/**
 * tfjs's own CPU kernels for tensors of a GPU: the inputs' values are read from the device, and the results are written to it
 * when a kernel there needs them. This is for kernels that no training step calls.
 */
import * as tf from '@tensorflow/tfjs-core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';

/** A kernel's inputs by name or in order, some of which are lists; an input may be missing. */
type Inputs = tf.TensorInfo | undefined | Inputs[] | { [name: string]: Inputs };

const kernelsThatRan = new Set<string>();

/** Names of the kernels that the calling thread has computed on the host. */
export function kernelsRunOnHost(): ReadonlySet<string> {
  return kernelsThatRan;
}

/** @param kernelFunc of the CPU backend */
export function onHost(kernelName: string, kernelFunc: tf.KernelFunc): tf.KernelFunc {
  return ({ inputs, attrs, backend }) => {
    kernelsThatRan.add(kernelName);
    const device = backend as tf.KernelBackend;
    const host = hostBackend();
    const copied: tf.TensorInfo[] = [];
    const copies = mapInputs(inputs, (input) => {
      const copy = copyTo(host, input, device);
      copied.push(copy);
      // Some kernels of tfjs take more of a tensor than its interface has.
      return { ...copy, rank: input.shape.length } as tf.TensorInfo;
    }) as tf.NamedTensorInfoMap;
    const result = kernelFunc({ inputs: copies, attrs: attrs!, backend: host });
    const results = Array.isArray(result) ? result : [result];
    const outputs = results.map((output) => {
      const values = host.readSync(output.dataId);
      const dataId = device.write(values, output.shape, output.dtype);
      return { dataId, shape: output.shape, dtype: output.dtype };
    });
    for (const { dataId } of results) host.disposeData(dataId);
    for (const { dataId } of copied) host.disposeData(dataId);
    return Array.isArray(result) ? outputs : outputs[0]!;
  };
}

let host: MathBackendCPU | undefined;

/** A CPU backend beside the one that tfjs may have registered. */
function hostBackend(): MathBackendCPU {
  return (host ??= new MathBackendCPU());
}

/** The inputs in the same form, each replaced. */
function mapInputs(inputs: Inputs, map: (input: tf.TensorInfo) => tf.TensorInfo): Inputs {
  if (inputs === undefined || inputs === null) return undefined;
  if (isTensorInfo(inputs)) return map(inputs);
  if (Array.isArray(inputs)) return inputs.map((input) => mapInputs(input, map));
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [name, mapInputs(input, map)]),
  );
}

function isTensorInfo(inputs: Exclude<Inputs, undefined>): inputs is tf.TensorInfo {
  return 'dataId' in inputs && 'dtype' in inputs;
}

function copyTo(
  target: MathBackendCPU,
  { dataId, shape, dtype }: tf.TensorInfo,
  device: tf.KernelBackend,
): tf.TensorInfo {
  const values = device.readSync(dataId);
  if (dtype !== 'complex64') return target.makeTensorInfo(shape, dtype, values);
  const { real, imag } = tf.backend_util.splitRealAndImagArrays(values as Float32Array);
  const info = target.makeTensorInfo(shape, 'complex64');
  target.data.get(info.dataId).complexTensorInfos = {
    real: target.makeTensorInfo(shape, 'float32', real),
    imag: target.makeTensorInfo(shape, 'float32', imag),
  };
  return info;
}
