import { stripVTControlCharacters } from 'node:util';
import type { EngineEvent, LocalWorkspaceOptions, PulumiCommand, Stack } from '@pulumi/pulumi/automation';
import { ClaraError, showValue } from '../base/errors';
import { pulumiCommand } from './pulumi-command';
import type { FleetVerb, StackChanges, StacksPort } from './stacks-port';

/** Colours of the engine's messages are written as `<{%reset%}>`. */
const COLOUR_MARK = /<\{%[^%]*%\}>/g;
const MAX_MESSAGE = 2000;
/** Pulumi documentation, "Configuring secrets encryption". */
const SECRETS_PROVIDER = /^(default|passphrase|(awskms|azurekeyvault|gcpkms|hashivault):\/\/\S+)$/;

export interface PulumiStacksOptions {
  /** Folder of Pulumi.yaml. */
  readonly project: string;
  /** Folder of a policy pack that previews and deployments must pass. */
  readonly policyPack?: string;
  /** The pack's configuration: rules that are advisory in these stacks, and why. */
  readonly policyPackConfig?: string;
  /** What encrypts the secrets of a stack that is made; one that is there keeps its own. @default the backend's */
  readonly secretsProvider?: string;
  /** Added to this process's own environment, for the CLI and the programs that it starts. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Stacks of a Pulumi project, through the Automation API and the CLI of the user: their backend, login and passphrase. */
export class PulumiStacks implements StacksPort {
  readonly #options: PulumiStacksOptions;
  readonly #command: PulumiCommand;
  /** The end of the last selection. Two at a time would write the same file of the user's Pulumi home. */
  #selected: Promise<unknown> = Promise.resolve();

  private constructor(options: PulumiStacksOptions, command: PulumiCommand) {
    this.#options = options;
    this.#command = command;
  }

  /** @throws ClaraError when there is no Pulumi CLI that can be used, or the secrets provider is none that it knows */
  static async open(options: PulumiStacksOptions): Promise<PulumiStacks> {
    const { secretsProvider } = options;
    if (secretsProvider !== undefined && !SECRETS_PROVIDER.test(secretsProvider)) {
      throw new ClaraError(
        'invalid-input',
        `the secrets provider is ${showValue(secretsProvider)}; it must be default, passphrase, or the URL of a key such as awskms://alias/NAME?region=REGION`,
      );
    }
    return new PulumiStacks(options, await pulumiCommand());
  }

  async run(verb: FleetVerb, name: string, signal: AbortSignal): Promise<StackChanges | undefined> {
    const heard = new EngineMessages();
    try {
      const stack = await this.#select(name, verb === 'preview' || verb === 'up');
      if (stack === undefined) return undefined;
      signal.throwIfAborted();
      await this.#carryOut(verb, stack, heard, signal);
      return heard.changes;
    } catch (thrown) {
      if (signal.aborted) throw new ClaraError('cancelled', `${verb} of ${name} was interrupted`, { cause: thrown });
      throw new ClaraError('unavailable', `${verb} of ${name}: ${heard.errors ?? (await wordsOf(thrown))}`, {
        cause: thrown,
      });
    }
  }

  async #carryOut(verb: FleetVerb, stack: Stack, heard: EngineMessages, signal: AbortSignal): Promise<void> {
    const { policyPack, policyPackConfig } = this.#options;
    const common = { onEvent: (event: EngineEvent) => heard.add(event), signal };
    const governed = {
      ...common,
      ...(policyPack === undefined ? {} : { policyPacks: [policyPack] }),
      ...(policyPackConfig === undefined ? {} : { policyPackConfigs: [policyPackConfig] }),
    };
    switch (verb) {
      case 'preview':
        await stack.preview(governed);
        break;
      case 'up':
        await stack.up(governed);
        break;
      case 'refresh':
        await stack.refresh(common);
        break;
      case 'destroy':
        await stack.destroy(common);
        break;
    }
  }

  /** @returns undefined when there is no such stack and none is to be made */
  async #select(stackName: string, create: boolean): Promise<Stack | undefined> {
    const { LocalWorkspace, StackNotFoundError } = await import('@pulumi/pulumi/automation');
    const { project: workDir, environment: envVars, secretsProvider } = this.#options;
    const options: LocalWorkspaceOptions = {
      pulumiCommand: this.#command,
      ...(envVars ? { envVars: { ...envVars } } : {}),
      ...(secretsProvider === undefined ? {} : { secretsProvider }),
    };
    const selecting = this.#selected.then(() =>
      create
        ? LocalWorkspace.createOrSelectStack({ stackName, workDir }, options)
        : LocalWorkspace.selectStack({ stackName, workDir }, options),
    );
    this.#selected = selecting.catch(() => undefined);
    try {
      return await selecting;
    } catch (error) {
      if (!create && error instanceof StackNotFoundError) return undefined;
      throw error;
    }
  }
}

/** What the engine says while it works. It has already put `[secret]` in place of what is secret. */
class EngineMessages {
  #changes: StackChanges = {};
  readonly #errors: string[] = [];

  add(event: EngineEvent): void {
    if (event.summaryEvent) this.#changes = event.summaryEvent.resourceChanges as StackChanges;
    const { diagnosticEvent: said, policyEvent: rule } = event;
    if (said?.severity === 'error') this.#errors.push(said.message);
    if (rule?.enforcementLevel === 'mandatory') {
      this.#errors.push(`policy ${rule.policyName} is violated by ${rule.resourceUrn ?? 'the stack'}: ${rule.message}`);
    }
  }

  get changes(): StackChanges {
    return this.#changes;
  }

  /** All errors, each once, or undefined. */
  get errors(): string | undefined {
    const lines = [...new Set(this.#errors.map(plain))].filter((line) => line !== '' && line !== 'update failed');
    return lines.length === 0 ? undefined : shortened(lines.join('; '));
  }
}

/** The words of an error of the Automation API. */
async function wordsOf(thrown: unknown): Promise<string> {
  const { ConcurrentUpdateError } = await import('@pulumi/pulumi/automation');
  if (thrown instanceof ConcurrentUpdateError) {
    return 'another update of this stack is under way, or died and left its lock (`pulumi cancel`)';
  }
  return shortened(
    plain(thrown instanceof Error ? thrown.message : String(thrown)) || 'the Pulumi CLI did not say why',
  );
}

function plain(text: string): string {
  return stripVTControlCharacters(text.replace(COLOUR_MARK, ''))
    .replace(/\s+/g, ' ')
    .replace(/^error: /, '')
    .trim();
}

function shortened(text: string): string {
  return text.length <= MAX_MESSAGE ? text : `${text.slice(0, MAX_MESSAGE)}...`;
}
