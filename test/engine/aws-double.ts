import { createHash } from 'node:crypto';
import type { Properties } from './property-values';

/**
 * What AWS would answer: identifiers and ARNs in the right form, made from the resource's URN so that they never change.
 * A type that is not in the table gets an id and no further outputs.
 */

export interface MadeResource {
  readonly id: string;
  /** Outputs beyond the inputs. */
  readonly outputs: Properties;
}

export interface ResourceToMake {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly inputs: Properties;
}

interface Place {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
}

type Maker = (resource: ResourceToMake, place: Place) => MadeResource;

const MAKERS: Readonly<Record<string, Maker>> = {
  'aws:s3/bucket:Bucket': ({ name, urn, inputs }, { partition }) => {
    const bucket = (inputs.bucket as string | undefined) ?? `${name}-${digits(urn, 7)}`;
    return { id: bucket, outputs: { bucket, arn: `arn:${partition}:s3:::${bucket}` } };
  },
  'aws:kms/key:Key': ({ urn }, place) => {
    const d = digits(urn, 32);
    const id = [d.slice(0, 8), d.slice(8, 12), d.slice(12, 16), d.slice(16, 20), d.slice(20)].join('-');
    return { id, outputs: { keyId: id, arn: arn('kms', `key/${id}`, place) } };
  },
  'aws:efs/fileSystem:FileSystem': ({ urn }, place) => {
    const id = `fs-${digits(urn, 17)}`;
    const dnsName = `${id}.efs.${place.region}.${dnsSuffix(place.partition)}`;
    return { id, outputs: { arn: arn('elasticfilesystem', `file-system/${id}`, place), dnsName } };
  },
  'aws:efs/accessPoint:AccessPoint': ({ urn }, place) => {
    const id = `fsap-${digits(urn, 17)}`;
    return { id, outputs: { arn: arn('elasticfilesystem', `access-point/${id}`, place) } };
  },
  'aws:efs/mountTarget:MountTarget': ({ urn }) => ({ id: `fsmt-${digits(urn, 17)}`, outputs: {} }),
  'aws:ec2/securityGroup:SecurityGroup': ({ urn }, place) => {
    const id = `sg-${digits(urn, 17)}`;
    return { id, outputs: { arn: arn('ec2', `security-group/${id}`, place) } };
  },
};

/** @param configuration inputs of the resource's provider; lists and maps are JSON text, as for any provider */
export function makeResource(resource: ResourceToMake, configuration: Properties, partition: string): MadeResource {
  const maker = MAKERS[resource.type];
  if (maker === undefined) return { id: `${resource.name}-id`, outputs: {} };
  return maker(resource, { partition, region: String(configuration.region), account: accountOf(configuration) });
}

/** @throws Error for a function that this double does not know, so that no program decides on an invented answer */
export function answerInvoke(token: string, configuration: Properties, partition: string): Properties {
  switch (token) {
    case 'aws:index/getCallerIdentity:getCallerIdentity': {
      const accountId = accountOf(configuration);
      return { id: accountId, accountId, userId: 'AIDADOUBLE', arn: `arn:${partition}:iam::${accountId}:user/double` };
    }
    case 'aws:index/getPartition:getPartition': {
      const suffix = dnsSuffix(partition);
      const reverseDnsPrefix = suffix.split('.').reverse().join('.');
      return { id: partition, partition, dnsSuffix: suffix, reverseDnsPrefix };
    }
    default:
      throw new Error(`the engine double has no answer for ${token}; add one to test/engine/aws-double.ts`);
  }
}

function accountOf({ allowedAccountIds }: Properties): string {
  const ids = typeof allowedAccountIds === 'string' ? (JSON.parse(allowedAccountIds) as string[]) : [];
  return ids[0] ?? '000000000000';
}

function arn(service: string, rest: string, { partition, region, account }: Place): string {
  return `arn:${partition}:${service}:${region}:${account}:${rest}`;
}

function dnsSuffix(partition: string): string {
  return partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
}

function digits(urn: string, count: number): string {
  return createHash('sha256').update(urn).digest('hex').slice(0, count);
}
