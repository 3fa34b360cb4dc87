/**
 * `@peculiar/x509` resolves its algorithms through a container that asks the host for the three functions below (of the
 * decorator metadata proposal, https://rbuckton.github.io/reflect-metadata/). They are provided here, on whole classes only,
 * when no other module has done so. Must be loaded before `@peculiar/x509`; `x509.ts` sees to that.
 */
type MetadataHost = typeof Reflect & {
  defineMetadata?(key: unknown, value: unknown, target: object): void;
  getOwnMetadata?(key: unknown, target: object): unknown;
  getMetadata?(key: unknown, target: object): unknown;
};

const host: MetadataHost = Reflect;

if (!host.getMetadata) {
  const known = new WeakMap<object, Map<unknown, unknown>>();
  const own = (key: unknown, target: object): unknown => known.get(target)?.get(key);
  host.defineMetadata = (key, value, target) => {
    const entries = known.get(target) ?? new Map<unknown, unknown>();
    known.set(target, entries.set(key, value));
  };
  host.getOwnMetadata = own;
  host.getMetadata = (key, target) => {
    for (let owner: object | null = target; owner !== null; owner = Object.getPrototypeOf(owner)) {
      if (known.get(owner)?.has(key)) return own(key, owner);
    }
    return undefined;
  };
}
