import * as grpc from '@grpc/grpc-js';
import plugin from '@pulumi/pulumi/proto/plugin_pb';
import { ResourceProviderService } from '@pulumi/pulumi/proto/provider_grpc_pb';
import provider from '@pulumi/pulumi/proto/provider_pb';
import { Status } from '@pulumi/pulumi/proto/status_pb';
import { Any } from 'google-protobuf/google/protobuf/any_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { clearProperties } from '../property-values';
import { AwsProvider, HalfMade, ProviderRefusal, type ResourceCall } from './aws-provider';
import { type InputDifference, mustDeleteFirst } from './aws-rules';
import { construct } from './awsx-provider';
import type { Cloud } from './cloud';
import { properties, struct } from './wire-structs';

/**
 * The gRPC service of a resource provider (pulumi/pulumi, proto/pulumi/provider.proto) in front of {@link AwsProvider}. The
 * engine attaches to it with PULUMI_DEBUG_PROVIDERS, and opens one connection for each configured provider: the connection
 * tells which account and region a call is for.
 */

export interface ProviderServer {
  readonly port: number;
  close(): void;
}

const KINDS = provider.PropertyDiff.Kind;

/** @param caller account of the credentials in the shell */
export async function serveAwsProvider(cloud: Cloud, caller: string): Promise<ProviderServer> {
  const configured = new Map<string, AwsProvider>();
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.addService(ResourceProviderService as unknown as grpc.ServiceDefinition, {
    ...aboutProviders(configured, cloud, caller),
    ...aboutResources((call) => providerOf(configured, call)),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, close: () => server.forceShutdown() };
}

type Call<Request> = grpc.ServerUnaryCall<Request, unknown>;

function providerOf(configured: ReadonlyMap<string, AwsProvider>, call: Call<unknown>): AwsProvider {
  const found = configured.get(call.getPeer());
  if (found === undefined) throw new ProviderRefusal('this provider was not configured');
  return found;
}

function aboutProviders(configured: Map<string, AwsProvider>, cloud: Cloud, caller: string) {
  return {
    handshake: answered(() =>
      new provider.ProviderHandshakeResponse().setAcceptSecrets(true).setAcceptResources(true).setAcceptOutputs(false),
    ),
    attach: answered(() => new Empty()),
    cancel: answered(() => {
      cloud.onCancel();
      return new Empty();
    }),
    getPluginInfo: answered(() => new plugin.PluginInfo().setVersion('7.48.0')),
    getSchema: answered(() => new provider.GetSchemaResponse().setSchema('{"name":"aws","version":"7.48.0"}')),
    checkConfig: answered<provider.CheckRequest>(({ request }) =>
      new provider.CheckResponse().setInputs(request.getNews()),
    ),
    diffConfig: answered<provider.DiffRequest>(({ request }) => {
      const { DIFF_NONE, DIFF_SOME } = provider.DiffResponse.DiffChanges;
      const [olds, news] = [request.getOldInputs() ?? request.getOlds(), request.getNews()].map((values) =>
        JSON.stringify(properties(values)),
      );
      return new provider.DiffResponse().setChanges(olds === news ? DIFF_NONE : DIFF_SOME);
    }),
    configure: answered<provider.ConfigureRequest>((call) => {
      const configuration = clearProperties(properties(call.request.getArgs()));
      configured.set(call.getPeer(), new AwsProvider(configuration, cloud, caller));
      return new provider.ConfigureResponse()
        .setAcceptsecrets(true)
        .setSupportspreview(true)
        .setAcceptresources(true)
        .setAcceptoutputs(false);
    }),
  };
}

function aboutResources(of: (call: Call<unknown>) => AwsProvider) {
  return {
    construct: answered<provider.ConstructRequest>(({ request }) => construct(request)),
    invoke: answered<provider.InvokeRequest>((call) => {
      const args = properties(call.request.getArgs());
      return new provider.InvokeResponse().setReturn(struct(of(call).invoke(call.request.getTok(), args)));
    }),
    check: answered<provider.CheckRequest>((call) => {
      const { request } = call;
      const { type, name, urn } = resourceOf(request);
      const [olds, news] = [properties(request.getOlds()), properties(request.getNews())];
      const { inputs, missing } = of(call).check(type, name, olds, news, request.getRandomseed_asU8());
      const response = new provider.CheckResponse().setInputs(struct(inputs));
      for (const argument of missing) {
        response.addFailures(
          new provider.CheckFailure().setProperty(argument).setReason(`Missing required argument (${urn})`),
        );
      }
      return response;
    }),
    diff: answered<provider.DiffRequest>((call) => {
      const { request } = call;
      const [olds, news] = [properties(request.getOldInputs()), properties(request.getNews())];
      const { type } = resourceOf(request);
      return diffResponse(of(call).diff(type, olds, news, request.getIgnorechangesList()), mustDeleteFirst(type, news));
    }),
    create: answered<provider.CreateRequest>(async (call) => {
      const { request } = call;
      const inputs = properties(request.getProperties());
      if (request.getPreview()) {
        return new provider.CreateResponse().setProperties(struct(of(call).preview(resourceOf(request).type, inputs)));
      }
      const { id, outputs } = await of(call).create(resourceOf(request), inputs);
      return new provider.CreateResponse().setId(id).setProperties(struct(outputs));
    }),
    read: answered<provider.ReadRequest>(async (call) => {
      const { request } = call;
      const known = { outputs: properties(request.getProperties()), inputs: properties(request.getInputs()) };
      const found = await of(call).read(resourceOf(request), request.getId(), known);
      if (found === undefined) return new provider.ReadResponse(); // an empty id: it is gone
      const response = new provider.ReadResponse().setId(request.getId());
      return response.setProperties(struct(found.outputs)).setInputs(struct(found.inputs));
    }),
    update: answered<provider.UpdateRequest>(async (call) => {
      const { request } = call;
      const [olds, news] = [properties(request.getOlds()), properties(request.getNews())];
      const outputs = request.getPreview()
        ? { ...olds, ...news }
        : await of(call).update(resourceOf(request), request.getId(), olds, news);
      return new provider.UpdateResponse().setProperties(struct(outputs));
    }),
    delete: answered<provider.DeleteRequest>(async (call) => {
      await of(call).delete(resourceOf(call.request), call.request.getId(), properties(call.request.getProperties()));
      return new Empty();
    }),
  };
}

function diffResponse(changes: readonly InputDifference[], deleteFirst: boolean): provider.DiffResponse {
  const { DIFF_NONE, DIFF_SOME } = provider.DiffResponse.DiffChanges;
  const replacing = changes.filter(({ replaces }) => replaces).map(({ argument }) => argument);
  const response = new provider.DiffResponse()
    .setChanges(changes.length > 0 ? DIFF_SOME : DIFF_NONE)
    .setDiffsList(changes.map(({ argument }) => argument))
    .setReplacesList(replacing)
    .setDeletebeforereplace(replacing.length > 0 && deleteFirst)
    .setHasdetaileddiff(true);
  for (const { argument, kind, replaces } of changes) {
    const name = `${kind.toUpperCase()}${replaces ? '_REPLACE' : ''}` as keyof typeof KINDS;
    response.getDetaileddiffMap().set(argument, new provider.PropertyDiff().setKind(KINDS[name]).setInputdiff(true));
  }
  return response;
}

function resourceOf(request: { getUrn(): string }): ResourceCall {
  const urn = request.getUrn();
  const [, , types = '', ...name] = urn.split('::');
  return { urn, type: types.split('$').at(-1)!, name: name.join('::') };
}

/** An error becomes the status of the call, and what is half made is told as the engine expects it. */
function answered<Request>(answer: (call: Call<Request>) => unknown): grpc.handleUnaryCall<Request, unknown> {
  return (call, callback) => {
    void Promise.resolve()
      .then(() => answer(call))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(statusOf(error)),
      );
  };
}

function statusOf(error: unknown): Partial<grpc.StatusObject> {
  const details = error instanceof Error ? error.message : String(error);
  if (!(error instanceof HalfMade)) return { code: grpc.status.UNKNOWN, details };
  const failure = new provider.ErrorResourceInitFailed()
    .setId(error.id)
    .setProperties(struct(error.outputs))
    .setReasonsList([details]);
  const any = new Any();
  any.pack(failure.serializeBinary(), 'pulumirpc.ErrorResourceInitFailed');
  const status = new Status().setCode(grpc.status.UNKNOWN).setMessage(details);
  status.addDetails(any);
  const metadata = new grpc.Metadata();
  metadata.add('grpc-status-details-bin', Buffer.from(status.serializeBinary()));
  return { code: grpc.status.UNKNOWN, details, metadata };
}
