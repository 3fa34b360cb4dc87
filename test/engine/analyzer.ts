import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import * as grpc from '@grpc/grpc-js';
import { AnalyzerClient } from '@pulumi/pulumi/proto/analyzer_grpc_pb';
import analyzer from '@pulumi/pulumi/proto/analyzer_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { type JavaScriptValue, Struct } from 'google-protobuf/google/protobuf/struct_pb';
import type { Registration } from './deployment';
import { type Properties, wireOfPlain } from './property-values';
import { DEFERRED_PACKAGES, neutralEnvironment } from './run-program';

/**
 * A policy pack in a process of its own, asked over the protocol that the engine uses (pulumi/pulumi, proto/pulumi/
 * analyzer.proto): each resource by its inputs, and the whole stack by its outputs at the end.
 */

export interface Violation {
  readonly policy: string;
  readonly level: 'advisory' | 'mandatory' | 'other';
  /** URN of the resource. */
  readonly urn: string;
  readonly message: string;
}

export interface Analyzer {
  /** Names of the policies that the pack serves, in order. */
  readonly policies: readonly string[];
  /** What the pack says of each resource before it is made. @param asked those to ask about; providers may be among the rest */
  analyzeEach(resources: readonly Registration[], asked?: readonly Registration[]): Promise<Violation[]>;
  /** What it says at the end, of all together. */
  analyzeStack(resources: readonly Registration[]): Promise<Violation[]>;
  close(): Promise<void>;
}

/** @param folder of the pack: PulumiPolicy.yaml, package.json, tsconfig.json */
export async function startAnalyzer(folder: string): Promise<Analyzer> {
  const program = require.resolve('@pulumi/pulumi/cmd/run-policy-pack');
  // The pack never calls the engine, which would be at the first address.
  const child = spawn(process.execPath, ['--require', DEFERRED_PACKAGES, program, '127.0.0.1:1', folder], {
    cwd: folder,
    env: neutralEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const errors: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
  const address = await addressOf(child, errors);
  const client = new AnalyzerClient(address, grpc.credentials.createInsecure());
  const info = await call<analyzer.AnalyzerInfo>((done) => client.getAnalyzerInfo(new Empty(), done));
  return {
    policies: info.getPoliciesList().map((policy) => policy.getName()),
    analyzeEach: async (resources, asked = resources) => {
      const byUrn = new Map(resources.map((resource) => [resource.urn, resource]));
      const found = await Promise.all(
        asked.map((resource) => ask((done) => client.analyze(resourceRequest(resource, byUrn), done), resource.urn)),
      );
      return found.flat();
    },
    analyzeStack: (resources) => {
      const byUrn = new Map(resources.map((resource) => [resource.urn, resource]));
      const together = new analyzer.AnalyzeStackRequest();
      together.setResourcesList(resources.map((resource) => stackResource(resource, byUrn)));
      return ask((done) => client.analyzeStack(together, done), '');
    },
    close: async () => {
      client.close();
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    },
  };
}

/** The pack prints its port when it listens. @throws Error with what it printed when it ends before that */
async function addressOf(child: ChildProcess, errors: readonly string[]): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  for await (const line of lines) {
    if (/^\d+$/.test(line)) return `127.0.0.1:${line}`;
  }
  throw new Error(`the policy pack did not start:\n${errors.join('')}`);
}

const LEVELS: readonly Violation['level'][] = ['advisory', 'mandatory'];

async function ask(
  request: (done: grpc.requestCallback<analyzer.AnalyzeResponse>) => unknown,
  urn: string,
): Promise<Violation[]> {
  const response = await call(request);
  return response.getDiagnosticsList().map((diagnostic) => ({
    policy: diagnostic.getPolicyname(),
    level: LEVELS[diagnostic.getEnforcementlevel()] ?? 'other',
    urn: diagnostic.getUrn() || urn,
    message: diagnostic.getMessage(),
  }));
}

function call<Response>(request: (done: grpc.requestCallback<Response>) => unknown): Promise<Response> {
  return new Promise((resolve, reject) => {
    request((error, response) => (error ? reject(error) : resolve(response!)));
  });
}

type ByUrn = ReadonlyMap<string, Registration>;

function resourceRequest(resource: Registration, byUrn: ByUrn): analyzer.AnalyzeRequest {
  const request = new analyzer.AnalyzeRequest();
  request.setType(resource.type).setUrn(resource.urn).setName(resource.name);
  request.setProperties(structOf(resource.inputs));
  request.setOptions(optionsOf(resource));
  return request.setProvider(providerOf(resource, byUrn));
}

/** At the end the engine shows what was made: outputs, among them the id, as the AWS provider reports it. */
function stackResource(resource: Registration, byUrn: ByUrn): analyzer.AnalyzerResource {
  const { inputs, outputs = {}, id } = resource;
  const shown = new analyzer.AnalyzerResource();
  shown.setType(resource.type).setUrn(resource.urn).setName(resource.name);
  shown.setProperties(structOf({ ...inputs, ...outputs, ...(id !== '' && { id }) }));
  shown.setOptions(optionsOf(resource));
  shown.setProvider(providerOf(resource, byUrn));
  shown.setParent(resource.parent).setDependenciesList([...resource.dependencies]);
  for (const [property, urns] of Object.entries(resource.propertyDependencies)) {
    shown
      .getPropertydependenciesMap()
      .set(property, new analyzer.AnalyzerPropertyDependencies().setUrnsList([...urns]));
  }
  return shown;
}

function optionsOf(resource: Registration): analyzer.AnalyzerResourceOptions {
  const options = new analyzer.AnalyzerResourceOptions();
  options.setProtect(resource.protect).setIgnorechangesList([...resource.ignoreChanges]);
  return options.setParent(resource.parent);
}

function providerOf({ provider }: Registration, byUrn: ByUrn): analyzer.AnalyzerProviderResource | undefined {
  if (provider === undefined) return undefined;
  const found = byUrn.get(provider);
  const shown = new analyzer.AnalyzerProviderResource();
  // The engine names a default provider after the version of its package.
  shown
    .setType(found?.type ?? 'pulumi:providers:aws')
    .setUrn(provider)
    .setName(found?.name ?? 'default_7_48_0');
  return shown.setProperties(structOf(found?.inputs ?? {}));
}

function structOf(values: Properties): Struct {
  return Struct.fromJavaScript(wireOfPlain(values) as Record<string, JavaScriptValue>);
}
