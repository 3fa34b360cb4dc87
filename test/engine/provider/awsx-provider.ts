import * as grpc from '@grpc/grpc-js';
import provider from '@pulumi/pulumi/proto/provider_pb';
import { ResourceMonitorClient } from '@pulumi/pulumi/proto/resource_grpc_pb';
import monitor from '@pulumi/pulumi/proto/resource_pb';
import { expandVpc } from '../awsx-vpc';
import type { RegistrationAnswer, RegistrationRequest } from '../deployment';
import { wireOf } from '../property-values';
import { properties, struct } from './wire-structs';

/**
 * The provider of `awsx`, whose components are made by the provider: it registers the component and what it consists of with the
 * engine that asked for it.
 */
export async function construct(request: provider.ConstructRequest): Promise<provider.ConstructResponse> {
  const [type, name] = [request.getType(), request.getName()];
  if (type !== 'awsx:ec2:Vpc') throw new Error(`the provider double makes no ${type}; see test/engine/awsx-vpc.ts`);
  const client = new ResourceMonitorClient(request.getMonitorendpoint(), grpc.credentials.createInsecure());
  try {
    const component = new monitor.RegisterResourceRequest()
      .setType(type)
      .setName(name)
      .setParent(request.getParent())
      .setDependenciesList(request.getDependenciesList());
    for (const [key, reference] of request.getProvidersMap().toArray()) component.getProvidersMap().set(key, reference);
    const { urn } = await registered(client, component);
    const inputs = wireOf(properties(request.getInputs())) as RegistrationRequest['inputs'];
    const register = (child: RegistrationRequest) => registered(client, childRequest(child));
    const state = await expandVpc({ name, inputs }, urn, { isPreview: request.getDryrun(), register });
    const outputs = new monitor.RegisterResourceOutputsRequest().setUrn(urn).setOutputs(struct(state));
    await new Promise<void>((resolve, reject) => {
      client.registerResourceOutputs(outputs, (error) => (error ? reject(error) : resolve()));
    });
    return new provider.ConstructResponse().setUrn(urn).setState(struct(state));
  } finally {
    client.close();
  }
}

function childRequest(child: RegistrationRequest): monitor.RegisterResourceRequest {
  return new monitor.RegisterResourceRequest()
    .setType(child.type)
    .setName(child.name)
    .setParent(child.parent)
    .setCustom(child.custom)
    .setObject(struct(child.inputs))
    .setDependenciesList([...child.dependencies])
    .setAcceptsecrets(true)
    .setAcceptresources(true);
}

function registered(
  client: ResourceMonitorClient,
  request: monitor.RegisterResourceRequest,
): Promise<RegistrationAnswer> {
  return new Promise((resolve, reject) => {
    client.registerResource(request, (error, response) => {
      if (error) reject(error);
      else resolve({ urn: response.getUrn(), id: response.getId(), outputs: properties(response.getObject()) });
    });
  });
}
