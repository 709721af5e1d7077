/** Reads the network that the page contains; see src/library/classification_page.ts. */
import type { PageModel } from '../src/library/page_model.js';

export interface EmbeddedModel extends PageModel {
  /** float32 values by name, in canonical layout. */
  tensors: Map<string, Float32Array>;
}

/** The elements are removed, so that their text does not stay in memory. */
export function readModel(): EmbeddedModel {
  const model = JSON.parse(document.getElementById('model')!.textContent) as PageModel;
  const pieces = new Map<string, Uint8Array[]>();
  for (const element of document.querySelectorAll<HTMLElement>('.tensor')) {
    const name = element.dataset['name']!;
    pieces.set(name, [...(pieces.get(name) ?? []), decoded(element.textContent)]);
    element.remove();
  }
  const tensors = new Map([...pieces].map(([name, parts]) => [name, joined(parts)]));
  return { ...model, tensors };
}

/** A loop over the characters: `Uint8Array.from` takes a minute for a network of 60 million parameters. */
function decoded(base64: string): Uint8Array {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

function joined(parts: Uint8Array[]): Float32Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new Float32Array(bytes.buffer);
}
