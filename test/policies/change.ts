/**
 * A copy of `value` in which the field at a dotted path is something else; `undefined` removes it. Policies travel as JSON text,
 * so a path may go on inside one: `policy.Statement.0.Effect`. A number picks from a list.
 */
export function changed(value: unknown, path: string, to: unknown): unknown {
  const [key, ...rest] = path.split('.');
  if (typeof value === 'string') return JSON.stringify(changed(JSON.parse(value), path, to));
  if (Array.isArray(value)) {
    return value.map((item, index) =>
      String(index) !== key ? item : rest.length === 0 ? to : changed(item, rest.join('.'), to),
    );
  }
  const record = (value ?? {}) as Readonly<Record<string, unknown>>;
  const { [key]: old, ...others } = record;
  if (rest.length > 0) return { ...record, [key]: changed(old, rest.join('.'), to) };
  return to === undefined ? others : { ...record, [key]: to };
}
