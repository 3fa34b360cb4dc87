/** The name of the project in Pulumi.yaml: the namespace of its configuration keys. */
export const PROJECT = 'clara-federation';

/** Configuration as the engine hands it over: `project:key` to text; lists, maps, numbers and switches as JSON. */
export type RawConfiguration = Readonly<Record<string, string>>;

/** The text of one of our keys. A key that is empty counts as absent: that is what the defaults of Pulumi.yaml mean. */
export function textOf(configuration: RawConfiguration, key: string): string | undefined {
  return configuration[`${PROJECT}:${key}`] || undefined;
}

/** Our keys, without the namespace. */
export function ownKeys(configuration: RawConfiguration): string[] {
  const prefix = `${PROJECT}:`;
  return Object.keys(configuration)
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
}
