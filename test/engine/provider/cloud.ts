import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Properties } from '../property-values';

/** Something that exists in an account. */
export interface CloudObject {
  readonly account: string;
  readonly region: string;
  readonly type: string;
  readonly id: string;
  /** What made it. */
  readonly urn: string;
  /** What others call it by. The settings of a thing, such as the versioning of a bucket, have only the name of the thing. */
  readonly names: readonly string[];
  /** Plain values; secrets are in clear, as AWS itself has them. */
  readonly properties: Properties;
}

/** What tells objects apart. */
export type CloudPlace = Pick<CloudObject, 'account' | 'region' | 'type' | 'id'>;

export type Operation = 'create' | 'read' | 'update' | 'delete';

export interface CloudCall {
  readonly operation: Operation;
  readonly urn: string;
  readonly account: string;
}

/** AWS's refusal of a call; its message reaches the operator. */
export class CloudError extends Error {
  /** @param half the object has been made, and something went wrong afterwards */
  constructor(
    message: string,
    readonly half = false,
  ) {
    super(message);
  }
}

/**
 * What stands for AWS: objects by account, each in a file of its own, so that what is there outlives this process. A test
 * makes it fail, wait, drift and forget.
 */
export class Cloud {
  /** Called before each call that changes or reads something; may throw a {@link CloudError}, or wait. */
  before: (call: CloudCall) => void | Promise<void> = () => {};
  /** Called when the engine tells its providers that it is being cancelled. */
  onCancel: () => void = () => {};
  readonly calls: CloudCall[] = [];
  readonly #objects = new Map<string, CloudObject>();

  constructor(readonly folder: string) {
    mkdirSync(folder, { recursive: true });
    for (const file of readdirSync(folder)) {
      if (!file.endsWith('.json')) continue;
      const object = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as CloudObject;
      this.#objects.set(keyOf(object), object);
    }
  }

  get objects(): readonly CloudObject[] {
    return [...this.#objects.values()];
  }

  async begin(call: CloudCall): Promise<void> {
    this.calls.push(call);
    await this.before(call);
  }

  find(place: CloudPlace): CloudObject | undefined {
    return this.#objects.get(keyOf(place));
  }

  /** @throws CloudError when the name is taken */
  add(object: Omit<CloudObject, 'names'>, inputs: Properties): void {
    if (this.#objects.has(keyOf(object))) {
      throw new CloudError(`creating ${object.type} (${object.id}): it exists already in account ${object.account}`);
    }
    const candidates = [object.id, object.properties.arn].filter((name): name is string => typeof name === 'string');
    this.put({ ...object, names: candidates.filter((name) => !mentions(inputs, [name])) });
  }

  put(object: CloudObject): void {
    const file = this.#fileOf(object);
    writeFileSync(`${file}.partial`, JSON.stringify(object, null, 1));
    renameSync(`${file}.partial`, file);
    this.#objects.set(keyOf(object), object);
  }

  /** @throws CloudError while something else in the cloud mentions it, as AWS refuses with DependencyViolation */
  remove(object: CloudObject): void {
    const user = this.#userOf(object);
    if (user !== undefined) {
      throw new CloudError(
        `deleting ${object.type} (${object.id}): DependencyViolation, ${user.type} (${user.id}) uses it`,
      );
    }
    this.forget(object);
  }

  /** As if somebody had deleted it by hand. */
  forget(object: CloudObject): void {
    rmSync(this.#fileOf(object), { force: true });
    this.#objects.delete(keyOf(object));
  }

  /** As if somebody had changed it by hand. */
  change(object: CloudObject, properties: Properties): void {
    this.put({ ...object, properties: { ...object.properties, ...properties } });
  }

  #userOf(object: CloudObject): CloudObject | undefined {
    const others = this.objects.filter((other) => other.account === object.account && keyOf(other) !== keyOf(object));
    return others.find((other) => mentions(other.properties, object.names));
  }

  #fileOf(object: CloudObject): string {
    return path.join(this.folder, `${createHash('sha256').update(keyOf(object)).digest('hex').slice(0, 32)}.json`);
  }
}

function keyOf({ account, region, type, id }: CloudPlace): string {
  return `${account}|${region}|${type}|${id}`;
}

/** A value that is one of the names. Documents count as text, and may go on mentioning what is gone. */
function mentions(value: unknown, names: readonly string[]): boolean {
  if (typeof value === 'string') return names.includes(value);
  return typeof value === 'object' && value !== null && Object.values(value).some((inner) => mentions(inner, names));
}
