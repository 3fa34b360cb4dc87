/** The name of the project in Pulumi.yaml: the namespace of its configuration keys. */
export const PROJECT = 'clara-federation';

/** Configuration as the engine hands it over: `project:key` to text; lists, maps, numbers and switches as JSON. */
export type RawConfiguration = Readonly<Record<string, string>>;

/** What the defaults of Pulumi.yaml mean that say "nothing": a key without a default would be demanded from every stack. */
const NOTHING: readonly string[] = ['', '[]', '{}'];

/** The text of one of our keys; absent when it is empty. */
export function textOf(configuration: RawConfiguration, key: string): string | undefined {
  const text = configuration[`${PROJECT}:${key}`] ?? '';
  return NOTHING.includes(text) ? undefined : text;
}

/** Our keys, without the namespace. */
export function ownKeys(configuration: RawConfiguration): string[] {
  const prefix = `${PROJECT}:`;
  return Object.keys(configuration)
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
}
