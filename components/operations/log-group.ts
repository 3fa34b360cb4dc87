import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';

export interface LogGroupOptions {
  readonly retentionDays: number;
  readonly keyArn: pulumi.Input<string>;
}

/** A log group that forgets after a while, and is readable only with a key of the site. */
export function logGroup(
  name: string,
  { retentionDays, keyArn }: LogGroupOptions,
  child: { readonly parent: pulumi.Resource },
): aws.cloudwatch.LogGroup {
  return new aws.cloudwatch.LogGroup(name, { retentionInDays: retentionDays, kmsKeyId: keyArn }, child);
}
