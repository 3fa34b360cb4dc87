import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Properties } from '../property-values';

/** Something that exists in an account. */
export interface CloudObject {
  readonly account: string;
  readonly type: string;
  readonly id: string;
  /** What made it. */
  readonly urn: string;
  /** Later objects have higher numbers. */
  readonly made: number;
  /** Plain values; secrets are in clear, as AWS itself has them. */
  readonly properties: Properties;
}

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

  find(account: string, type: string, id: string): CloudObject | undefined {
    return this.#objects.get(keyOf({ account, type, id }));
  }

  /** @throws CloudError when the name is taken */
  add(made: Omit<CloudObject, 'made'>): void {
    const object = { ...made, made: 1 + Math.max(0, ...this.objects.map((other) => other.made)) };
    if (this.#objects.has(keyOf(object))) {
      throw new CloudError(`creating ${object.type} (${object.id}): it exists already in account ${object.account}`);
    }
    this.put(object);
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

  /** The settings of a thing, such as the versioning of a bucket, carry its name as their id; only the thing itself is used. */
  #userOf(object: CloudObject): CloudObject | undefined {
    const others = this.objects.filter((other) => other.account === object.account && keyOf(other) !== keyOf(object));
    if (others.some(({ id, made }) => id === object.id && made < object.made)) return undefined;
    const names = [object.id, object.properties.arn].filter((name): name is string => typeof name === 'string');
    return others.find((other) => mentions(other.properties, names));
  }

  #fileOf(object: CloudObject): string {
    return path.join(this.folder, `${createHash('sha256').update(keyOf(object)).digest('hex').slice(0, 32)}.json`);
  }
}

function keyOf({ account, type, id }: Pick<CloudObject, 'account' | 'type' | 'id'>): string {
  return `${account}|${type}|${id}`;
}

/** A value that is one of the names. Documents count as text, and may go on mentioning what is gone. */
function mentions(value: unknown, names: readonly string[]): boolean {
  if (typeof value === 'string') return names.includes(value);
  return typeof value === 'object' && value !== null && Object.values(value).some((inner) => mentions(inner, names));
}
