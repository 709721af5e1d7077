/**
 * The script of `export --format html`: classifies pictures with the network in its page.
 *
 * From the pixels on, it is the program's own code: the resizing and cropping of a test, the normalization and the
 * forward pass, on TensorFlow.js's WebAssembly backend. The build makes one file of it, with that backend's binary inside.
 */
import { Classifier, prepareBackend } from './classifier.js';
import { element } from './element.js';
import { readModel } from './embedded_model.js';
import { listenForPictures, type Picture } from './pictures.js';
import { showActivity, showKernels, showMostProbable, showSeen } from './show.js';

const WHITE = [255, 255, 255] as const;

function say(text: string, isAlarm = false): void {
  element('status').textContent = text;
  element('status').classList.toggle('alarm', isAlarm);
}

/** Lets the browser draw before it is busy. */
const drawn = (): Promise<void> =>
  new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), true);
  }
}

void attempt(async () => {
  await drawn();
  const model = readModel();
  await prepareBackend();
  const classifier = new Classifier(model);
  const { network } = classifier;
  const { towers, input, parameters } = network;
  const [first] = parameters;
  const weights = { shape: first!.shape, data: model.tensors.get(first!.name)! };
  if (network.layers[0]!.specification.type === 'conv' && input.channels === 3) {
    showKernels(first!.layer, weights, towers);
  }

  const classify = async (picture: Picture): Promise<void> => {
    say('Computing …');
    await drawn();
    const image = await picture();
    const begin = performance.now();
    const { probabilities, seen, activity } = classifier.classify(image);
    const milliseconds = Math.round(performance.now() - begin);
    showSeen({ width: input.width, height: input.height, pixels: seen });
    showMostProbable(probabilities, model.classes);
    if (towers > 1) showActivity(activity);
    element('results').hidden = false;
    say(`Classified in ${milliseconds} ms.`);
  };
  listenForPictures(model.background ?? WHITE, (picture) => {
    void attempt(() => classify(picture));
  });
  say('Ready.');
});
