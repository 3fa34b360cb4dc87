import {
  CreateCapacityProviderCommand,
  CreateClusterCommand,
  type ECSClient,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';

/** A cluster of moto's with the capacity provider `gpu-g5`, a machine, and the task definition `trainer`. */
export async function makeCluster(ecs: ECSClient, clusterName = 'site'): Promise<void> {
  const autoScalingGroupArn =
    'arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/gpu-g5';
  await ecs.send(
    new CreateCapacityProviderCommand({ name: 'gpu-g5', autoScalingGroupProvider: { autoScalingGroupArn } }),
  );
  await ecs.send(new CreateClusterCommand({ clusterName, capacityProviders: ['gpu-g5'] }));
  // moto places tasks on a machine at once; when it comes is decided by the double.
  const instanceIdentityDocument = JSON.stringify({ instanceId: await instance(ecs) });
  await ecs.send(new RegisterContainerInstanceCommand({ cluster: clusterName, instanceIdentityDocument }));
  await ecs.send(
    new RegisterTaskDefinitionCommand({
      family: 'trainer',
      containerDefinitions: [{ name: 'trainer', image: 'trainer:1', memory: 16, cpu: 1 }],
    }),
  );
  ecs.destroy();
}

/** A machine of moto's EC2, by its query API: it looks at whose key a request carries, and not at signatures. */
async function instance(ecs: ECSClient): Promise<string> {
  const { accessKeyId } = await ecs.config.credentials();
  const { hostname, port } = await ecs.config.endpoint!();
  const answer = await fetch(`http://${hostname}:${port}/`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: 'Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=1&MaxCount=1',
  });
  return /<instanceId>([^<]+)</.exec(await answer.text())![1]!;
}
