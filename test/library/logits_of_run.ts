/** The logits of images in a run, for comparison with what other programs compute. */
import { loadConfiguration } from '../../src/configuration.js';
import { setOfFiles } from '../../src/data/folder.js';
import { resolveDevices } from '../../src/library/devices.js';
import { rowOf } from '../../src/model/probabilities.js';
import { chooseCheckpoint } from '../../src/runs/checkpoint_reader.js';
import { openRunFolder } from '../../src/runs/layout.js';
import { statisticsFor } from '../../src/runs/statistics.js';
import { loadParameters } from '../../src/runs/tensors.js';
import { withTowers } from '../../src/training/session.js';

/**
 * @param files images, which the network sees through the centre crop
 * @returns a row of logits per image
 */
export async function logitsOfRun(path: string, files: string[]): Promise<Float32Array[]> {
  const folder = openRunFolder(path);
  const configuration = loadConfiguration({ file: folder.configurationFile });
  const resolved = await resolveDevices({ cpu: 1 }, configuration.towers, configuration.towers);
  const set = setOfFiles(files, new Int32Array(files.length));
  const dataset = { classes: [], train: set, test: set };
  const statistics = await statisticsFor(configuration, null, path);
  return withTowers(
    { configuration, dataset, statistics, ...resolved },
    async (coordinator, ring) => {
      await loadParameters(coordinator, chooseCheckpoint(folder).files.model);
      const rows: Float32Array[] = [];
      for await (const batch of ring.test(undefined, 1)) {
        const logits = await coordinator.logitsOf(batch);
        for (let image = 0; image < batch.count; image++) {
          rows.push(rowOf(logits, image, batch.count).slice());
        }
        batch.release();
      }
      return rows;
    },
  );
}
