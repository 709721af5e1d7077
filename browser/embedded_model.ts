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
    const bytes = Uint8Array.from(atob(element.textContent), (character) =>
      character.charCodeAt(0),
    );
    pieces.set(name, [...(pieces.get(name) ?? []), bytes]);
    element.remove();
  }
  const tensors = new Map([...pieces].map(([name, parts]) => [name, joined(parts)]));
  return { ...model, tensors };
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
