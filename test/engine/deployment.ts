import { type MadeResource, makeResource } from './aws-double';
import { isWireSecret, type Properties, plainProperties, UNKNOWN_WIRE, wireOf, wireSecret } from './property-values';

/**
 * The engine's rules for what a program registers, without any transport: names, providers, protection, secrets and what
 * is known when. Rules are those of pulumi/pulumi, pkg/resource/deploy (source_eval.go, step_generator.go).
 */

/** `preview`: what the cloud decides is unknown. `update`: the cloud double has answered, so every value can be read. */
export type Mode = 'preview' | 'update';

export interface RegistrationRequest {
  readonly type: string;
  readonly name: string;
  /** URN of the parent; empty for the stack itself. */
  readonly parent: string;
  readonly custom: boolean;
  /** Provider reference, `urn::id`; empty when the program named none. */
  readonly provider: string;
  /** Providers that a component hands down, by package. */
  readonly providers: Readonly<Record<string, string>>;
  /** As they came over the wire. */
  readonly inputs: Properties;
  readonly dependencies: readonly string[];
  /** URNs that the value of each input was made from. */
  readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
  readonly protect: boolean | undefined;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly ignoreChanges: readonly string[];
  readonly replaceOnChanges: readonly string[];
  readonly aliases: readonly string[];
  /** Names of outputs that the program wants kept secret. */
  readonly secretOutputs: readonly string[];
}

export interface Registration extends Omit<RegistrationRequest, 'inputs' | 'provider' | 'protect'> {
  readonly urn: string;
  readonly id: string;
  /** URN of the provider that would make it; undefined for components and providers themselves. */
  readonly provider: string | undefined;
  readonly protect: boolean;
  /** Plain form, see property-values.ts. */
  readonly inputs: Properties;
  /** Plain form. Of a component: what it passed to `registerOutputs`; undefined when it never did. */
  readonly outputs: Properties | undefined;
}

export interface DeploymentOptions {
  readonly project: string;
  readonly stack: string;
  readonly mode: Mode;
  readonly partition: string;
  /** Packages that get no default provider: the stack's `pulumi:disable-default-providers`. */
  readonly withoutDefaultProvider: readonly string[];
}

export interface RegistrationAnswer {
  readonly urn: string;
  readonly id: string;
  /** Wire form. */
  readonly outputs: Properties;
}

/** A registration that the engine would refuse; its message reaches the program as the error of that registration. */
export class RegistrationRefused extends Error {}

const STACK_TYPE = 'pulumi:pulumi:Stack';
const PROVIDER_PREFIX = 'pulumi:providers:';

export class Deployment {
  readonly #resources = new Map<string, Registration>();

  constructor(readonly options: DeploymentOptions) {}

  /** In the order of registration. */
  get resources(): readonly Registration[] {
    return [...this.#resources.values()];
  }

  /** @throws RegistrationRefused on a duplicate URN, an unknown parent or provider, or a forbidden default provider */
  register(request: RegistrationRequest): RegistrationAnswer {
    const urn = this.#urnOf(request);
    if (this.#resources.has(urn)) throw new RegistrationRefused(`Duplicate resource URN '${urn}'; try a unique name`);
    const provider = this.#providerOf(request);
    const wireInputs = wireOf(request.inputs) as Properties;
    const made = this.#make(request, urn, provider, wireInputs);
    const outputs = { ...wireInputs, ...made.outputs };
    for (const name of request.secretOutputs) {
      if (name in outputs && !isWireSecret(outputs[name])) outputs[name] = wireSecret(outputs[name]);
    }
    this.#resources.set(urn, {
      ...request,
      urn,
      id: made.id,
      provider,
      protect: request.protect ?? this.#resources.get(request.parent)?.protect ?? false,
      inputs: plainProperties(wireInputs),
      outputs: request.custom ? plainProperties(outputs) : undefined,
    });
    return { urn, id: made.id, outputs };
  }

  /** What the engine answers about a resource that somebody refers to by its URN. */
  stateOf(urn: string): Properties {
    const resource = this.#resources.get(urn);
    if (resource === undefined) throw new RegistrationRefused(`no resource '${urn}' was registered`);
    return { urn, id: resource.id, state: resource.outputs ?? {} };
  }

  /** What a component or the stack says at the end of its construction. */
  completeOutputs(urn: string, outputs: Properties): void {
    const component = this.#resources.get(urn);
    if (component === undefined) throw new RegistrationRefused(`outputs for '${urn}', which was never registered`);
    this.#resources.set(urn, { ...component, outputs: plainProperties(wireOf(outputs) as Properties) });
  }

  /** A URN carries the types of all parents but the stack (pulumi docs, "Resource names"). */
  #urnOf({ type, name, parent }: RegistrationRequest): string {
    if (parent !== '' && !this.#resources.has(parent)) throw new RegistrationRefused(`unknown parent '${parent}'`);
    const parentType = parent === '' ? STACK_TYPE : parent.split('::')[2];
    const types = parentType === STACK_TYPE ? type : `${parentType}$${type}`;
    return `urn:pulumi:${this.options.stack}::${this.options.project}::${types}::${name}`;
  }

  /** The provider that was named, else the nearest component's for the package, else the default one if it is allowed. */
  #providerOf({ type, name, parent, custom, provider }: RegistrationRequest): string | undefined {
    const packageName = type.split(':')[0];
    if (!custom || type.startsWith(PROVIDER_PREFIX) || packageName === 'pulumi') return undefined;
    let reference = provider;
    for (let at = this.#resources.get(parent); reference === '' && at; at = this.#resources.get(at.parent)) {
      reference = at.providers[packageName] ?? '';
    }
    if (reference !== '') {
      const urn = reference.slice(0, reference.lastIndexOf('::'));
      if (!this.#resources.has(urn)) throw new RegistrationRefused(`unknown provider '${reference}' for '${name}'`);
      return urn;
    }
    if (this.options.withoutDefaultProvider.includes(packageName)) {
      throw new RegistrationRefused(
        `Default provider for '${packageName}' disabled. '${name}' must use an explicit provider.`,
      );
    }
    return `default:${packageName}`;
  }

  #make(request: RegistrationRequest, urn: string, provider: string | undefined, inputs: Properties): MadeResource {
    if (!request.custom) return { id: '', outputs: {} };
    const isProvider = request.type.startsWith(PROVIDER_PREFIX);
    // A preview makes nothing: a provider has an unknown id, any other resource none, and what is not an input is unknown.
    if (this.options.mode === 'preview') return { id: isProvider ? UNKNOWN_WIRE : '', outputs: {} };
    const configuration = this.#resources.get(provider ?? '')?.inputs ?? {};
    return makeResource({ type: request.type, name: request.name, urn, inputs }, configuration, this.options.partition);
  }
}
