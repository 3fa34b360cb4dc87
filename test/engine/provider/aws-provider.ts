import { answerInvoke, makeResource } from '../aws-double';
import { clearProperties, type Properties } from '../property-values';
import { checkInputs, differences, type InputDifference, previewedOutputs, refreshed, withoutNotes } from './aws-rules';
import { type Cloud, CloudError, type CloudObject, type Operation } from './cloud';
import { sdkType } from './sdk-type';

/** One resource as the engine speaks of it. */
export interface ResourceCall {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
}

/** A call that has to be refused before anything is done; the engine shows the message. */
export class ProviderRefusal extends Error {}

/** What is made but not whole: the engine keeps it in its state, and the next deployment mends it. */
export class HalfMade extends Error {
  constructor(
    message: string,
    readonly id: string,
    readonly outputs: Properties,
  ) {
    super(message);
  }
}

/** One configured `aws` provider: a region of an account. */
export class AwsProvider {
  readonly account: string;

  /**
   * @param configuration inputs of the provider; everything but text is JSON text, as for any provider
   * @param caller account of the credentials in the shell; a role takes their place
   * @throws ProviderRefusal when the account is not one of `allowedAccountIds`
   */
  constructor(
    readonly configuration: Properties,
    readonly cloud: Cloud,
    caller: string,
  ) {
    const roles = json(configuration.assumeRoles) as readonly { readonly roleArn: string }[] | undefined;
    this.account = roles?.at(-1)?.roleArn.split(':')[4] ?? caller;
    const allowed = json(configuration.allowedAccountIds) as readonly string[] | undefined;
    if (allowed && !allowed.includes(this.account)) {
      throw new ProviderRefusal(`AWS account ID not allowed: ${this.account}`);
    }
  }

  invoke(token: string): Properties {
    return answerInvoke(token, this.#place, 'aws');
  }

  check = checkInputs;

  diff(type: string, olds: Properties, news: Properties, ignored: readonly string[]): InputDifference[] {
    return differences(type, olds, news, ignored);
  }

  preview(type: string, inputs: Properties): Properties {
    return previewedOutputs(type, inputs);
  }

  /** @throws CloudError when AWS refuses, HalfMade when it fails after the object is there */
  async create(call: ResourceCall, inputs: Properties): Promise<{ readonly id: string; readonly outputs: Properties }> {
    const half = await this.#begin('create', call);
    const { type, name, urn } = call;
    const wanted = clearProperties(withoutNotes(inputs));
    // A second one of the same name, while it replaces the first, must be told from it.
    const seed = `${urn}#${this.cloud.calls.filter((other) => other.urn === urn && other.operation === 'create').length}`;
    const made = makeResource({ type, name, urn: seed, inputs: wanted }, this.#place, 'aws');
    this.cloud.add({ account: this.account, type, urn, id: made.id, properties: { ...wanted, ...made.outputs } });
    const outputs = { ...withoutNotes(inputs), ...made.outputs };
    if (half !== undefined) throw new HalfMade(half, made.id, outputs);
    return { id: made.id, outputs };
  }

  async read(
    call: ResourceCall,
    id: string,
    known: { readonly outputs: Properties; readonly inputs: Properties },
  ): Promise<{ readonly outputs: Properties; readonly inputs: Properties } | undefined> {
    await this.#begin('read', call);
    const found = this.cloud.find(this.account, call.type, id);
    if (found === undefined) return undefined;
    const outputs = refreshed(known.outputs, found.properties);
    const inputs = { ...known.inputs };
    for (const name of Object.keys(inputs)) if (name in found.properties) inputs[name] = outputs[name];
    return { outputs, inputs };
  }

  async update(call: ResourceCall, id: string, olds: Properties, news: Properties): Promise<Properties> {
    await this.#begin('update', call);
    const found = this.#existing(call, id);
    const computed = Object.entries(olds).filter(([name]) => !sdkType(call.type).inputs.includes(name));
    const outputs = { ...withoutNotes(news), ...Object.fromEntries(computed) };
    this.cloud.put({ ...found, properties: clearProperties(outputs) });
    return outputs;
  }

  async delete(call: ResourceCall, id: string): Promise<void> {
    await this.#begin('delete', call);
    const found = this.cloud.find(this.account, call.type, id);
    if (found) this.cloud.remove(found);
  }

  get #place(): Properties {
    return { ...this.configuration, allowedAccountIds: JSON.stringify([this.account]) };
  }

  /** Answers what went wrong when the object has been made nevertheless. */
  async #begin(operation: Operation, { urn }: ResourceCall): Promise<string | undefined> {
    try {
      await this.cloud.begin({ operation, urn, account: this.account });
      return undefined;
    } catch (error) {
      if (error instanceof CloudError && error.half) return error.message;
      throw error;
    }
  }

  #existing({ type, urn }: ResourceCall, id: string): CloudObject {
    const found = this.cloud.find(this.account, type, id);
    if (found === undefined)
      throw new CloudError(`updating ${type} (${id}): there is none in account ${this.account} (${urn})`);
    return found;
  }
}

function json(value: unknown): unknown {
  return typeof value === 'string' ? (JSON.parse(value) as unknown) : undefined;
}
