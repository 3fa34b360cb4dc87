import * as aws from '@pulumi/aws';
import * as pulumi from '@pulumi/pulumi';
import { type PolicyDocument, policyDocument } from './policy-document';

export interface DataKeyOptions {
  /** What the key encrypts; becomes its description. */
  readonly description: string;
  readonly parent: pulumi.Resource;
  /** Leaves the key in the account when the stack is destroyed. Must be set wherever the data that it encrypts stay. */
  readonly retainOnDelete: boolean;
}

/** A symmetric KMS key for one store of data: yearly rotation, and the longest waiting time before a deletion is final. */
export function dataKey(name: string, { description, parent, retainOnDelete }: DataKeyOptions): aws.kms.Key {
  const { accountId } = aws.getCallerIdentityOutput({}, { parent });
  const { partition } = aws.getPartitionOutput({}, { parent });
  return new aws.kms.Key(
    name,
    {
      description,
      enableKeyRotation: true,
      deletionWindowInDays: 30,
      policy: pulumi.jsonStringify(pulumi.all([partition, accountId]).apply(([part, id]) => dataKeyPolicy(part, id))),
    },
    { parent, retainOnDelete },
  );
}

/**
 * The policy that AWS itself puts on a new key, written out: the account decides by IAM who uses the key.
 *
 * Both stars are narrow here. In a key policy `Resource: "*"` means this key alone, and a key whose account may not do
 * `kms:*` with it can become unmanageable for ever (KMS developer guide, "Default key policy").
 */
export function dataKeyPolicy(partition: string, accountId: string): PolicyDocument {
  return policyDocument({
    Sid: 'AccountDecidesByIam',
    Effect: 'Allow',
    Principal: { AWS: `arn:${partition}:iam::${accountId}:root` },
    Action: 'kms:*',
    Resource: '*',
  });
}
