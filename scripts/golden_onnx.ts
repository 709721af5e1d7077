/**
 * Writes a golden network as an ONNX model, for scripts/golden_onnx.py to check.
 *
 *     node dist/scripts/golden_onnx.js grouped FILE
 */
import { writeFileSync } from 'node:fs';
import { goldenOnnx } from '../test/model/golden_network.js';

const [name, file] = process.argv.slice(2);
writeFileSync(file!, goldenOnnx(name!));
