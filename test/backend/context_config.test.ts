import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeContextConfig } from '../../src/backend/context_config.js';

test('the bytes are those that protobuf writes for the same ConfigProto', () => {
  // tf.compat.v1.ConfigProto(device_count={'CPU': 2}, intra_op_parallelism_threads=300,
  //   inter_op_parallelism_threads=1, gpu_options={'allow_growth': True}).SerializeToString().hex()
  const expected = '0a070a03435055100210ac02280132022001';
  const bytes = encodeContextConfig({ threads: 300, logicalCpus: 2 });
  assert.equal(Buffer.from(bytes).toString('hex'), expected);
});
