/**
 * A configuration as rows of a table. It lists whatever fields there are, so that a new field appears in
 * reports without a change here.
 */

/** Every setting except the layers, by the dotted name that `--set` takes. Null is shown as "none". */
export function settingsOf(configuration: object): Map<string, string> {
  const settings = new Map<string, string>();
  const collect = (value: unknown, path: string): void => {
    if (path === 'network.layers') return;
    if (isRecord(value)) {
      for (const [field, member] of Object.entries(value)) {
        collect(member, path === '' ? field : `${path}.${field}`);
      }
    } else {
      settings.set(path, shown(value));
    }
  };
  collect(configuration, '');
  return settings;
}

/** For each layer its name, or its type if it has no name, and its fields. */
export function layersOf(layers: readonly object[]): [string, string][] {
  return layers.map((layer) => {
    const { type, name, ...fields } = layer as { type: string; name?: string };
    const described = Object.entries(fields).map(([field, value]) => `${field} ${shown(value)}`);
    return [name ?? type, [...(name === undefined ? [] : [type]), ...described].join(', ')];
  });
}

function shown(value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value)) return value.map(shown).join(', ');
  if (!isRecord(value)) return typeof value === 'string' ? value : JSON.stringify(value);
  return Object.entries(value)
    .map(([field, member]) => (isRecord(member) ? shown(member) : `${field} ${shown(member)}`))
    .join(' ');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
