/**
 * The files of a TensorFlow.js graph model, as its converter from Python writes them.
 *
 *     model.json               the graph, its input and output, what the weight files hold, and in `userDefinedMetadata`
 *                              how pictures become its input and what its classes are called
 *     group1-shard1of4.bin …   the weights one after another, cut every 4 MiB, so that browsers can cache each part
 */
import { writeFolderDurably } from '../durable_file.js';
import { tfjsGraph } from '../model/tfjs_graph.js';
import { programVersion } from '../program_version.js';
import type { ImageModel } from './image_model.js';

const SHARD_BYTES = 1 << 22;

/** @param folder path of the new folder @throws UserError if it cannot be written */
export function writeTfjs(
  folder: string,
  { configuration, network, parameters, normalization, classes }: ImageModel,
): void {
  const { nodes, weights, inputs, outputs } = tfjsGraph(network, parameters, normalization);
  const bytes = Buffer.concat(
    weights.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  );
  const count = Math.ceil(bytes.length / SHARD_BYTES);
  const shards = Array.from({ length: count }, (_, index): [string, [Uint8Array]] => [
    `group1-shard${index + 1}of${count}.bin`,
    [bytes.subarray(index * SHARD_BYTES, (index + 1) * SHARD_BYTES)],
  ]);
  const model = {
    format: 'graph-model',
    generatedBy: `twotower ${programVersion()}`,
    convertedBy: null,
    signature: { inputs, outputs },
    modelTopology: { node: nodes, library: {}, versions: {} },
    weightsManifest: [
      {
        paths: shards.map(([name]) => name),
        weights: weights.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
      },
    ],
    userDefinedMetadata: {
      input:
        'images [batch, height, width, channels]: red, green and blue, 0 to 255, cut as view says',
      view: configuration.data.view,
      classes,
    },
  };
  const json = new TextEncoder().encode(JSON.stringify(model));
  writeFolderDurably(folder, [['model.json', [json]], ...shards]);
}
