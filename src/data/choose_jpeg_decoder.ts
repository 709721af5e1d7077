/**
 * Chooses what decodes the JPEGs of a command: nvJPEG if all of its workers compute on GPUs with the native backend and the
 * library is there, else the CPU. `TWOTOWER_NVJPEG=never` chooses the CPU.
 */
import { type BackendName, type Device, makesImages, ordinalOf } from '../backend/backend.js';
import { loadCudaAddon } from '../backend/native/cuda_addon.js';
import { messageOf } from '../errors.js';
import { libjpegTurboVersion, slowJpegWarning } from './jpeg_decoder.js';

/** What decodes JPEGs. */
export interface JpegDecoder {
  name: 'nvJPEG' | 'libjpeg-turbo' | 'sharp';
  /** null for sharp. */
  version: string | null;
  /** nvJPEG's file. */
  file?: string;
  /** Ordinals of the GPUs that decode, over which the decoder threads take turns; absent if the CPU does. */
  gpus?: number[];
}

/** @returns `warnings`: a line for each decoder that is faster and missing, with the remedy */
export function chooseJpegDecoder(
  backend: BackendName,
  devices: readonly Device[],
): { jpegDecoder: JpegDecoder; jpegWarnings: string[] } {
  const slow = slowJpegWarning();
  const jpegDecoder = decoderOfCpu();
  const jpegWarnings = slow === null ? [] : [slow];
  const onGpus = devices.every((device) => makesImages(backend, device));
  if (!onGpus || process.env['TWOTOWER_NVJPEG'] === 'never') return { jpegDecoder, jpegWarnings };
  try {
    const gpus = devices.flatMap((device) => (device === 'cpu' ? [] : [ordinalOf(device)]));
    const found = { name: 'nvJPEG', ...loadCudaAddon().nvjpeg() } as const;
    return { jpegDecoder: { ...found, gpus: [...new Set(gpus)] }, jpegWarnings };
  } catch (error) {
    return { jpegDecoder, jpegWarnings: [noNvJpeg(error), ...jpegWarnings] };
  }
}

/** A warning of one line that the CPU decodes JPEGs, though there is a GPU. */
export function noNvJpeg(error: unknown): string {
  return `no nvJPEG, so the CPU decodes JPEGs: ${messageOf(error).replace(/^\w+: /, '')}`;
}

/** The version of nvJPEG if that decodes; undefined if the CPU does, whose decoders all give the same pixels. */
export function nvjpegVersion(decoder: JpegDecoder | undefined): string | undefined {
  return decoder?.name === 'nvJPEG' ? decoder.version! : undefined;
}

function decoderOfCpu(): JpegDecoder {
  const version = libjpegTurboVersion();
  return { name: version === null ? 'sharp' : 'libjpeg-turbo', version };
}
