/** Types of the part of tfjs-node-gpu's backend class that this project calls. */
import type * as tf from '@tensorflow/tfjs-core';

/** An attribute of a TensorFlow operation; `type` is one of the binding's `TF_ATTR_` numbers. */
export interface OperationAttribute {
  name: string;
  type: number;
  value: unknown;
}

export interface TensorFlowBackend {
  binding: {
    TF_Version: string;
    TF_ATTR_BOOL: number;
    TF_ATTR_INT: number;
    TF_ATTR_STRING: number;
    TF_ATTR_TYPE: number;
    TF_FLOAT: number;
  };
  executeSingleOutput(
    operation: string,
    attributes: OperationAttribute[],
    inputs: tf.TensorInfo[],
  ): tf.Tensor;
  executeMultipleOutputs(
    operation: string,
    attributes: OperationAttribute[],
    inputs: tf.TensorInfo[],
    outputs: number,
  ): tf.Tensor[];
}
