import * as grpc from '@grpc/grpc-js';
import { EngineService } from '@pulumi/pulumi/proto/engine_grpc_pb';
import engine from '@pulumi/pulumi/proto/engine_pb';
import provider from '@pulumi/pulumi/proto/provider_pb';
import { ResourceMonitorService } from '@pulumi/pulumi/proto/resource_grpc_pb';
import monitor from '@pulumi/pulumi/proto/resource_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { type JavaScriptValue, Struct } from 'google-protobuf/google/protobuf/struct_pb';
import { answerInvoke } from './aws-double';
import { expandVpc } from './awsx-vpc';
import type { Deployment, RegistrationRequest } from './deployment';
import type { Properties } from './property-values';

/**
 * The two gRPC services that a Pulumi program talks to, Engine and ResourceMonitor (pulumi/pulumi, proto/pulumi/
 * engine.proto and resource.proto), in front of a {@link Deployment}. Functions that a program of ours must not need
 * (reading resources, transforms) are left unimplemented, and gRPC says so. The one remote component that we use is expanded.
 */

export interface EngineLog {
  readonly severity: 'debug' | 'info' | 'warning' | 'error';
  readonly message: string;
}

export interface EngineServer {
  /** `host:port` for `--monitor` and `--engine`. */
  readonly address: string;
  /** What the program logged, in order. */
  readonly logs: readonly EngineLog[];
  close(): void;
}

const SEVERITIES = ['debug', 'info', 'warning', 'error'] as const;

/** What the double says yes to. Without `secrets` the SDK sends secrets in clear and a test could not see them. */
const FEATURES = ['secrets', 'resourceReferences', 'outputValues', 'aliasSpecs', 'deletedWith'];

/** Starts both services on a free port of the loopback interface. */
export async function serveEngine(deployment: Deployment): Promise<EngineServer> {
  const logs: EngineLog[] = [];
  const server = new grpc.Server();
  server.addService(EngineService, engineHandlers(logs));
  server.addService(ResourceMonitorService, monitorHandlers(deployment));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, logs, close: () => server.forceShutdown() };
}

function engineHandlers(logs: EngineLog[]): grpc.UntypedServiceImplementation {
  let root = '';
  return {
    log: unary<engine.LogRequest>((request) => {
      logs.push({ severity: SEVERITIES[request.getSeverity()], message: request.getMessage() });
      return new Empty();
    }),
    getRootResource: unary(() => new engine.GetRootResourceResponse().setUrn(root)),
    setRootResource: unary<engine.SetRootResourceRequest>((request) => {
      root = request.getUrn();
      return new engine.SetRootResourceResponse();
    }),
    requirePulumiVersion: unary(() => new engine.RequirePulumiVersionResponse()),
  };
}

function monitorHandlers(deployment: Deployment): grpc.UntypedServiceImplementation {
  return {
    supportsFeature: unary<monitor.SupportsFeatureRequest>((request) =>
      new monitor.SupportsFeatureResponse().setHassupport(FEATURES.includes(request.getId())),
    ),
    registerResource: unary<monitor.RegisterResourceRequest>(async (request) => {
      const registration = registrationOf(request);
      const { urn, id, outputs } = deployment.register(registration);
      const state = request.getRemote() ? await expandRemote(deployment, registration, urn) : outputs;
      return new monitor.RegisterResourceResponse().setUrn(urn).setId(id).setObject(structOf(state));
    }),
    registerResourceOutputs: unary<monitor.RegisterResourceOutputsRequest>((request) => {
      deployment.completeOutputs(request.getUrn(), propertiesOf(request.getOutputs()));
      return new Empty();
    }),
    invoke: unary<monitor.ResourceInvokeRequest>((request) => {
      if (request.getTok() === 'pulumi:pulumi:getResource') {
        const state = deployment.stateOf(String(propertiesOf(request.getArgs()).urn));
        return new provider.InvokeResponse().setReturn(structOf(state));
      }
      const reference = request.getProvider();
      const urn = reference.slice(0, reference.lastIndexOf('::'));
      const configuration = deployment.resources.find((resource) => resource.urn === urn)?.inputs ?? {};
      const answer = answerInvoke(
        request.getTok(),
        configuration,
        deployment.options.partition,
        propertiesOf(request.getArgs()),
      );
      return new provider.InvokeResponse().setReturn(structOf(answer));
    }),
    signalAndWaitForShutdown: unary(() => new Empty()),
  };
}

/** A remote component is made by its own provider, which registers the children. */
function expandRemote(deployment: Deployment, component: RegistrationRequest, urn: string): Promise<Properties> {
  const registrar = {
    isPreview: deployment.options.mode === 'preview',
    register: async (child: RegistrationRequest) => deployment.register(child),
  };
  if (component.type === 'awsx:ec2:Vpc') return expandVpc(component, urn, registrar);
  throw new Error(`the engine double does not expand ${component.type}; see test/engine/awsx-vpc.ts`);
}

/** A thrown error becomes the status of the call; the SDK shows its message to the user. */
function unary<Request>(answer: (request: Request) => unknown): grpc.handleUnaryCall<Request, unknown> {
  return async (call, callback) => {
    try {
      callback(null, await answer(call.request));
    } catch (error) {
      callback({ code: grpc.status.INVALID_ARGUMENT, details: error instanceof Error ? error.message : String(error) });
    }
  };
}

function registrationOf(request: monitor.RegisterResourceRequest): RegistrationRequest {
  return {
    type: request.getType(),
    name: request.getName(),
    parent: request.getParent(),
    custom: request.getCustom(),
    provider: request.getProvider(),
    providers: Object.fromEntries(request.getProvidersMap().toArray()),
    inputs: propertiesOf(request.getObject()),
    dependencies: [...request.getDependenciesList()].sort(),
    propertyDependencies: Object.fromEntries(
      [...request.getPropertydependenciesMap().entries()].map(([property, from]) => [property, from.getUrnsList()]),
    ),
    protect: request.hasProtect() ? request.getProtect() : undefined,
    retainOnDelete: request.getRetainondelete() ?? false,
    deleteBeforeReplace: request.getDeletebeforereplace(),
    ignoreChanges: request.getIgnorechangesList(),
    replaceOnChanges: request.getReplaceonchangesList(),
    aliases: [
      ...request.getAliasurnsList(),
      ...request.getAliasesList().map((alias) => alias.getUrn() || JSON.stringify(alias.getSpec()?.toObject())),
    ],
    secretOutputs: request.getAdditionalsecretoutputsList(),
  };
}

function propertiesOf(struct: Struct | undefined): Properties {
  return struct?.toJavaScript() ?? {};
}

function structOf(values: Properties): Struct {
  return Struct.fromJavaScript(values as Record<string, JavaScriptValue>);
}
