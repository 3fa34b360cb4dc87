import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { readProject } from '../../fleet/project-files';
import { PulumiStacks } from '../../fleet/pulumi-stacks';
import type { FleetVerb, StackChanges } from '../../fleet/stacks-port';
import { DIST, isCurrent, ROOT } from '../../scripts/compiled.cjs';
import { installedPulumi } from '../../scripts/pulumi-cli/install';
import { Cloud } from './provider/cloud';
import { type ProviderServer, serveAwsProvider } from './provider/provider-server';

/** The account of the credentials that the shell has, as of one who may deploy the organisation; sites are other accounts. */
export const CALLER_ACCOUNT = '999900001111';

export const PASSPHRASE = 'correct horse battery staple';

export interface CliEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the engine keeps of one resource. */
export interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  readonly custom: boolean;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/**
 * This project with the real engine, in a temporary folder: its programs as they are, copies of its stack files, a backend,
 * and a double of AWS behind the provider. Nothing of the user's Pulumi home or credentials is used.
 */
export class RealEngine {
  readonly cloud: Cloud;
  readonly environment: Readonly<Record<string, string>>;
  #stacks: PulumiStacks | undefined;

  private constructor(
    readonly folder: string,
    readonly project: string,
    readonly backend: string,
    cloud: Cloud,
    readonly provider: ProviderServer,
    pathWithCli: string,
  ) {
    this.cloud = cloud;
    this.environment = {
      PATH: pathWithCli,
      PULUMI_HOME: path.join(folder, 'home'),
      PULUMI_BACKEND_URL: `file://${backend}`,
      PULUMI_CONFIG_PASSPHRASE: PASSPHRASE,
      PULUMI_DEBUG_PROVIDERS: `aws:${provider.port},awsx:${provider.port}`,
      PULUMI_SKIP_UPDATE_CHECK: 'true',
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
      PULUMI_NODEJS_TRANSPILE_ONLY: 'true',
      NO_COLOR: '1',
    };
  }

  /**
   * @param program a file of `programs/`, to run instead of this project; its stack is `small`
   * @param fromSource has the engine compile this project's programs, as it does for users: some seconds at each start
   * @throws skips the suite, with the reason, when there is no CLI; with CI=true that is a failure
   */
  static async open(test: Mocha.Context, program?: string, { fromSource = !isCurrent() } = {}): Promise<RealEngine> {
    const pathWithCli = findCli() ?? skipped(test);
    process.env.PATH = pathWithCli; // where the Automation API looks for the CLI
    const folder = mkdtempSync(path.join(tmpdir(), 'clara-engine-'));
    const [project, backend] = [path.join(folder, 'project'), path.join(folder, 'backend')];
    for (const made of [project, backend]) mkdirSync(made);
    if (program === undefined) copyProject(project, fromSource);
    else smallProject(project, program);
    const cloud = new Cloud(path.join(folder, 'cloud'));
    return new RealEngine(folder, project, backend, cloud, await serveAwsProvider(cloud, CALLER_ACCOUNT), pathWithCli);
  }

  close(): void {
    this.provider.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs the CLI as a person would. */
  cli(...args: readonly string[]): Promise<CliEnd> {
    return new Promise((resolve, reject) => {
      const child = spawn('pulumi', [...args, '--non-interactive'], {
        cwd: this.project,
        env: { ...withoutSettings(), ...this.environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [stdout, stderr]: [string[], string[]] = [[], []];
      child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, stdout: stdout.join(''), stderr: stderr.join('') }));
    });
  }

  /** Does it through the adapter that `clara-fed fleet` uses. @throws ClaraError with the engine's words */
  async run(verb: FleetVerb, stack: string, policyPack?: string): Promise<StackChanges> {
    const options = { project: this.project, environment: this.environment };
    this.#stacks ??= await PulumiStacks.open(options);
    const stacks = policyPack === undefined ? this.#stacks : await PulumiStacks.open({ ...options, policyPack });
    return (await stacks.run(verb, stack, new AbortController().signal)) ?? {};
  }

  /** Changes values of a stack's file, by key without namespace; undefined takes one away. */
  configure(stack: string, changes: Readonly<Record<string, unknown>>): void {
    const file = path.join(this.project, `Pulumi.${stack}.yaml`);
    const document = parse(readFileSync(file, 'utf8')) as { config: Record<string, unknown> };
    for (const [key, value] of Object.entries(changes)) {
      if (value === undefined) delete document.config[`clara-federation:${key}`];
      else document.config[`clara-federation:${key}`] = value;
    }
    writeFileSync(file, stringify(document));
  }

  /** What the engine's own file says of a stack. */
  state(stack: string): readonly StateResource[] {
    const text = readFileSync(this.stateFile(stack), 'utf8');
    const { checkpoint } = JSON.parse(text) as { checkpoint: { latest?: { resources?: StateResource[] } } };
    return checkpoint.latest?.resources ?? [];
  }

  stateFile(stack: string): string {
    return path.join(this.backend, '.pulumi/stacks', readProject(this.project).name, `${stack}.json`);
  }

  /** Everything that the engine has written anywhere: states, their history and backups, stack files, its home. */
  writtenText(): string {
    return [this.backend, this.project, path.join(this.folder, 'home')].flatMap(textsIn).join('\n');
  }
}

function skipped(test: Mocha.Context): never {
  const reason = 'there is no Pulumi CLI: `npm run pulumi-cli` builds one (Go 1.25 or newer), or put yours on the PATH';
  if (process.env.CI === 'true') throw new Error(reason);
  process.stdout.write(`    skipped: ${reason}\n`);
  return test.skip();
}

function findCli(): string | undefined {
  const installed = installedPulumi();
  if (installed !== undefined) return `${installed}${path.delimiter}${process.env.PATH}`;
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const has = folders.some((folder) => {
    try {
      return readdirSync(folder).includes('pulumi');
    } catch {
      return false;
    }
  });
  return has ? process.env.PATH : undefined;
}

/** Programs and packages are linked, what the CLI writes to is copied. */
function copyProject(project: string, fromSource: boolean): void {
  for (const name of readdirSync(ROOT)) {
    if (/^Pulumi.*\.yaml$|^package\.json$|^tsconfig\.json$/.test(name))
      cpSync(path.join(ROOT, name), path.join(project, name));
  }
  for (const name of ['components', 'stacks']) {
    symlinkSync(path.join(fromSource ? ROOT : DIST, name), path.join(project, name));
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(project, 'node_modules'));
  if (fromSource) return;
  const file = path.join(project, 'Pulumi.yaml');
  const declared = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const runtime = { name: 'nodejs', options: { typescript: false } };
  writeFileSync(file, stringify({ ...declared, main: 'stacks/index.js', runtime }));
}

function smallProject(project: string, program: string): void {
  const runtime = { name: 'nodejs', options: { typescript: true } };
  writeFileSync(
    path.join(project, 'Pulumi.yaml'),
    stringify({ name: 'clara-federation', main: `programs/${program}`, runtime, config: {} }),
  );
  writeFileSync(path.join(project, 'Pulumi.small.yaml'), stringify({ config: {} }));
  symlinkSync(path.join(__dirname, 'programs'), path.join(project, 'programs'));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(project, 'node_modules'));
}

/** This process's environment without what would point to a real backend or account. */
function withoutSettings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS|PULUMI)_/.test(name)));
}

function textsIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isSymbolicLink()) return [];
    return entry.isDirectory() ? textsIn(name) : [readFileSync(name, 'utf8')];
  });
}
