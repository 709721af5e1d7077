/**
 * A configuration as rows of a table, whatever fields it has, so that a new field is in the report without
 * a change here. Called by the report of runs.
 */

/** Every setting but the layers, by its dotted field, as `--set` names it. Null is "none". */
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

/** A layer's name, or its type where it has none, and its fields. */
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
