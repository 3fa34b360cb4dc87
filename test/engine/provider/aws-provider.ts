import { answerInvoke, type MadeResource, makeResource } from '../aws-double';
import { clearProperties, type Properties } from '../property-values';
import {
  checkInputs,
  differences,
  type InputDifference,
  previewedOutputs,
  refreshed,
  withoutName,
  withoutNotes,
} from './aws-rules';
import { type Cloud, CloudError, type CloudObject, type CloudPlace, type Operation } from './cloud';
import { sdkType } from './sdk-type';

const TASK_DEFINITION = 'aws:ecs/taskDefinition:TaskDefinition';

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

  invoke(token: string, args: Properties): Properties {
    return answerInvoke(token, this.#place, 'aws', args);
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
    const attempt = this.cloud.calls.filter((other) => other.urn === urn && other.operation === 'create').length;
    const first = makeResource({ type, name, urn: `${urn}#${attempt}`, inputs: wanted }, this.#place, 'aws');
    const made = type === TASK_DEFINITION ? revision(first, attempt) : first;
    const properties = { ...wanted, ...made.outputs };
    this.cloud.add({ ...this.#placeOf(type, made.id, wanted), urn, properties }, withoutName(type, wanted));
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
    const found = this.cloud.find(this.#placeOf(call.type, id, known.outputs));
    if (found === undefined) return undefined;
    const outputs = refreshed(known.outputs, found.properties);
    const inputs = { ...known.inputs };
    for (const name of Object.keys(inputs)) if (name in found.properties) inputs[name] = outputs[name];
    return { outputs, inputs };
  }

  async update(call: ResourceCall, id: string, olds: Properties, news: Properties): Promise<Properties> {
    await this.#begin('update', call);
    const found = this.#existing(call, id, olds);
    const computed = Object.entries(olds).filter(([name]) => !sdkType(call.type).inputs.includes(name));
    const outputs = { ...withoutNotes(news), ...Object.fromEntries(computed) };
    this.cloud.put({ ...found, properties: clearProperties(outputs) });
    return outputs;
  }

  async delete(call: ResourceCall, id: string, known: Properties): Promise<void> {
    await this.#begin('delete', call);
    const found = this.cloud.find(this.#placeOf(call.type, id, known));
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

  /** Something may name a region of its own; else it lies in the provider's. */
  #placeOf(type: string, id: string, { region }: Properties): CloudPlace {
    return { account: this.account, region: String(region ?? this.configuration.region), type, id };
  }

  #existing({ type, urn }: ResourceCall, id: string, known: Properties): CloudObject {
    const found = this.cloud.find(this.#placeOf(type, id, known));
    if (found !== undefined) return found;
    throw new CloudError(`updating ${type} (${id}): there is none in account ${this.account} (${urn})`);
  }
}

/** Revisions of one family exist beside each other, and only their ARNs tell them apart. */
function revision({ outputs }: MadeResource, number: number): MadeResource {
  const arn = String(outputs.arn).replace(/:\d+$/, `:${number}`);
  return { id: arn, outputs: { ...outputs, arn, revision: number } };
}

function json(value: unknown): unknown {
  return typeof value === 'string' ? (JSON.parse(value) as unknown) : undefined;
}
