/**
 * Property values as the engine and a program exchange them: JSON, in which an object with a signature key stands for
 * something that JSON cannot say (pulumi/pulumi, sdk/nodejs/runtime/rpc.ts). Two forms are used here:
 *
 * - *wire*: signatures as they came, except that output values are resolved to what they carry;
 * - *plain*: what a test or a reader sees, with {@link Secret} and {@link UNKNOWN} in place of signatures.
 */

const SIGNATURE = '4dabf18193072939515e22adb298388d';
const SECRET_SIGNATURE = '1b47061264138c4ac30d75fd1eb44270';
const OUTPUT_SIGNATURE = 'd0e6a833031e9bbcd3f4e8bde6ca49a4';
const RESOURCE_SIGNATURE = '5cf8f73096256a8f31e491e813e4eb8e';

/** What stands, in a preview, for a value that only the cloud will know. */
export const UNKNOWN_WIRE = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

export type Properties = Readonly<Record<string, unknown>>;

export class Secret {
  constructor(readonly value: unknown) {}

  toJSON(): string {
    return '[secret]';
  }
}

/** The one unknown value, so that `===` finds it. */
export const UNKNOWN = Object.freeze({ toJSON: () => '[known after it is made]' });

/** Resolves output values: unknown ones become the unknown marker, secret ones a wire secret, others their value. */
export function wireOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(wireOf);
  if (!isObject(value)) return value;
  if (value[SIGNATURE] === OUTPUT_SIGNATURE) {
    const inner = 'value' in value ? wireOf(value.value) : UNKNOWN_WIRE;
    return value.secret === true ? wireSecret(inner) : inner;
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, wireOf(inner)]));
}

/** The plain form of a wire value. A resource reference becomes the URN that it points to. */
export function plainOf(value: unknown): unknown {
  if (value === UNKNOWN_WIRE) return UNKNOWN;
  if (Array.isArray(value)) return value.map(plainOf);
  if (!isObject(value)) return value;
  if (value[SIGNATURE] === SECRET_SIGNATURE) return new Secret(plainOf(value.value));
  if (value[SIGNATURE] === RESOURCE_SIGNATURE) return value.urn;
  return plainProperties(value);
}

/** A wire value in which secrets are what they hold: what AWS itself sees. Unknown values stay as they are. */
export function clearOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clearOf);
  if (!isObject(value)) return value;
  return value[SIGNATURE] === SECRET_SIGNATURE ? clearOf(value.value) : clearProperties(value);
}

export function clearProperties(values: Properties): Properties {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, clearOf(value)]));
}

export function plainProperties(values: Properties): Properties {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, plainOf(value)]));
}

/** The wire form of a plain value: what {@link plainOf} was made from. */
export function wireOfPlain(value: unknown): unknown {
  if (value === UNKNOWN) return UNKNOWN_WIRE;
  if (value instanceof Secret) return wireSecret(wireOfPlain(value.value));
  if (Array.isArray(value)) return value.map(wireOfPlain);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, wireOfPlain(inner)]));
}

export function wireSecret(value: unknown): Properties {
  return { [SIGNATURE]: SECRET_SIGNATURE, value };
}

/** A resource that is the value of an output: the SDK asks the engine for it by its URN. */
export function resourceReference(urn: string, id: string): Properties {
  return { [SIGNATURE]: RESOURCE_SIGNATURE, urn, id };
}

export function isWireSecret(value: unknown): boolean {
  return isObject(value) && value[SIGNATURE] === SECRET_SIGNATURE;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
