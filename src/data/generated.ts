/**
 * The built-in data set for the demo and the tests: ten classes of 32×32 drawn shapes and textures.
 *
 * The decoders draw the images, which are never stored. An image depends only on (split, index); its label is index
 * modulo 10. All classes use the same colours for foreground and background, so the mean colour says nothing about
 * the class: the network must see the shape, at any position, size and rotation, through noise.
 */
import { RandomSequence, deriveKey } from '../random.js';
import type { Split } from './split.js';
import type { Image } from './image.js';
import type { Part } from './part.js';

const SIDE = 32;

export interface GeneratedSet extends Part {
  kind: 'generated';
  split: Split;
  count: number;
}

/** How far inside the foreground a point lies, in pixels: negative outside, positive inside. */
type Depth = (u: number, v: number) => number;

/** One image's geometry; each class reads what it needs. */
interface Pose {
  /** Half the extent of a shape, pixels. */
  radius: number;
  /** One repeat of a texture, pixels. */
  period: number;
  /** A turn for shapes that may lie any way, radians. */
  turn: number;
  /** A slight turn for textures whose direction is the class, radians. */
  tilt: number;
}

interface ClassOfImages {
  name: string;
  rotation: (pose: Pose) => number;
  /** In coordinates centred on the shape and turned by `rotation`. */
  depth: (pose: Pose) => Depth;
}

const anyTurn = (pose: Pose) => pose.turn;
const slightTurn = (pose: Pose) => pose.tilt;

/** From the origin; six times as fast as Math.hypot. */
const distance = (u: number, v: number) => Math.sqrt(u * u + v * v);

/** A triangle wave: distance from the nearest edge of stripes whose halves are `period / 2` wide. */
function stripe(position: number, period: number): number {
  const phase = position / period - Math.floor(position / period);
  return (0.25 - Math.abs(phase - 0.5)) * period;
}

/** Distance of `position` from the middle of its cell of a grid. */
function withinCell(position: number, period: number): number {
  return position - (Math.floor(position / period) + 0.5) * period;
}

const CLASSES: ClassOfImages[] = [
  {
    name: 'disc',
    rotation: anyTurn,
    depth:
      ({ radius }) =>
      (u, v) =>
        radius - distance(u, v),
  },
  {
    name: 'square',
    rotation: anyTurn,
    depth:
      ({ radius }) =>
      (u, v) =>
        0.85 * radius - Math.max(Math.abs(u), Math.abs(v)),
  },
  {
    name: 'triangle',
    rotation: anyTurn,
    depth:
      ({ radius }) =>
      (u, v) =>
        0.6 * radius - Math.max(v, -0.5 * v + 0.866 * Math.abs(u)),
  },
  {
    name: 'cross',
    rotation: anyTurn,
    depth:
      ({ radius }) =>
      (u, v) => {
        const [long, short] = [
          Math.max(Math.abs(u), Math.abs(v)),
          Math.min(Math.abs(u), Math.abs(v)),
        ];
        return Math.min(1.1 * radius - long, 0.35 * radius - short);
      },
  },
  {
    name: 'ring',
    rotation: anyTurn,
    depth:
      ({ radius }) =>
      (u, v) =>
        0.22 * radius - Math.abs(distance(u, v) - 0.85 * radius),
  },
  {
    name: 'horizontal stripes',
    rotation: slightTurn,
    depth:
      ({ period }) =>
      (_, v) =>
        stripe(v, period),
  },
  {
    name: 'vertical stripes',
    rotation: slightTurn,
    depth:
      ({ period }) =>
      (u) =>
        stripe(u, period),
  },
  {
    name: 'checkerboard',
    rotation: anyTurn,
    depth:
      ({ period }) =>
      (u, v) => {
        const [across, down] = [stripe(u, 2 * period), stripe(v, 2 * period)];
        return Math.sign(across * down) * Math.min(Math.abs(across), Math.abs(down));
      },
  },
  {
    name: 'dots',
    rotation: anyTurn,
    depth:
      ({ period }) =>
      (u, v) =>
        0.3 * period - distance(withinCell(u, period), withinCell(v, period)),
  },
  {
    name: 'gradient',
    rotation: anyTurn,
    // Deep slopes: the foreground fades in over the whole image instead of over one pixel.
    depth: () => (u) => u / 24,
  },
];

export const GENERATED_CLASSES = CLASSES.map(({ name }) => name);

/** Two colours that can be told apart, as [r, g, b] in 0 … 255. */
function drawColours(random: RandomSequence): [number[], number[]] {
  for (;;) {
    const colours = Array.from({ length: 6 }, () => 20 + 215 * random.uniform());
    const [foreground, background] = [colours.slice(0, 3), colours.slice(3)];
    if (Math.hypot(...foreground.map((value, channel) => value - background[channel]!)) > 90) {
      return [foreground, background];
    }
  }
}

/** Writes example `index` to `pixels`, uint8 [32, 32, 3], and returns it with its label. */
export function drawGeneratedImage(
  split: Split,
  index: number,
  pixels: Uint8Array,
): { image: Image; label: number } {
  const label = index % CLASSES.length;
  const { rotation, depth } = CLASSES[label]!;
  const random = new RandomSequence(deriveKey(0, 'generated image', split, index));
  const between = (low: number, high: number) => low + (high - low) * random.uniform();

  const pose: Pose = {
    radius: between(6, 11),
    period: between(5, 10),
    turn: between(0, 2 * Math.PI),
    tilt: between(-0.3, 0.3),
  };
  const centreX = between(11, 21);
  const centreY = between(11, 21);
  const [foreground, background] = drawColours(random);
  // Light falls off linearly across the image, in a random direction.
  const lightX = between(-1.5, 1.5);
  const lightY = between(-1.5, 1.5);
  const noise = between(10, 60);

  const depthAt = depth(pose);
  const angle = rotation(pose);
  const cosine = Math.cos(angle);
  const sine = Math.sin(angle);
  // Rounds and clamps what it is given, twice as fast as Math.round.
  const rounded = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
  let position = 0;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const dx = x - centreX;
      const dy = y - centreY;
      const inside = depthAt(dx * cosine + dy * sine, dy * cosine - dx * sine);
      const coverage = Math.min(1, Math.max(0, 0.5 + inside));
      const light = lightX * (x - SIDE / 2) + lightY * (y - SIDE / 2);
      const word = random.word();
      for (let channel = 0; channel < 3; channel++) {
        const grain = (((word >>> (8 * channel)) & 255) / 255 - 0.5) * noise;
        const colour =
          background[channel]! + (foreground[channel]! - background[channel]!) * coverage;
        rounded[position++] = colour + light + grain;
      }
    }
  }
  return { image: { height: SIDE, width: SIDE, pixels }, label };
}
