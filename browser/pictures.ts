/** Pictures that the user gives: chosen, dropped on the page or taken by the camera. */
import type { Image } from '../src/data/image.js';
import { element } from './element.js';

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number];

/** Gives the pixels of a picture. It fails if the browser cannot decode it. */
export type Picture = () => Promise<Image>;

/**
 * Enables the controls.
 *
 * @param background what transparent areas show
 * @param take called with each picture
 */
export function listenForPictures(background: Colour, take: (picture: Picture) => void): void {
  const takeFile = (file: File | undefined): void => {
    if (file !== undefined) take(() => decodedPicture(file, background));
  };
  const chooser = element('file', HTMLInputElement);
  chooser.disabled = false;
  chooser.addEventListener('change', () => {
    takeFile(chooser.files?.[0]);
    // So that the same file can be chosen again.
    chooser.value = '';
  });
  const place = element('drop');
  // All of the page takes files: the browser would leave it for one that is dropped beside the frame.
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    place.classList.add('over');
  });
  document.addEventListener('dragleave', () => place.classList.remove('over'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    place.classList.remove('over');
    takeFile(event.dataTransfer?.files[0]);
  });
  listenForCamera(take);
}

/** The camera is on while its picture is shown, and off before it is classified. */
function listenForCamera(take: (picture: Picture) => void): void {
  // Where a page is not trusted with a camera, browsers leave the whole object out, whatever its type says.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined) return;
  const [start, viewfinder] = [element('camera', HTMLButtonElement), element('viewfinder')];
  const video = element('video', HTMLVideoElement);
  let stream: MediaStream | undefined;
  const stop = (): void => {
    stream?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    viewfinder.hidden = true;
    start.hidden = false;
  };
  const show = async (): Promise<void> => {
    stream = await devices.getUserMedia({ video: { facingMode: 'environment' } });
    video.srcObject = stream;
    start.hidden = true;
    viewfinder.hidden = false;
    await video.play();
  };
  start.hidden = false;
  start.disabled = false;
  start.addEventListener('click', () => {
    show().catch(() => take(() => Promise.reject(new Error('The browser gives no camera.'))));
  });
  element('stop').addEventListener('click', stop);
  element('shoot').addEventListener('click', () => {
    const image = pixelsOf(video, video.videoWidth, video.videoHeight, [0, 0, 0]);
    stop();
    take(() => Promise.resolve(image));
  });
}

/** Decodes a picture, upright and in sRGB. */
async function decodedPicture(file: Blob, background: Colour): Promise<Image> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error('The browser cannot read that file as a picture.');
  });
  const image = pixelsOf(bitmap, bitmap.width, bitmap.height, background);
  bitmap.close();
  return image;
}

function pixelsOf(
  source: CanvasImageSource,
  width: number,
  height: number,
  background: Colour,
): Image {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = `rgb(${background.join(' ')})`;
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from]!;
    pixels[to + 1] = data[from + 1]!;
    pixels[to + 2] = data[from + 2]!;
  }
  return { height, width, pixels };
}
