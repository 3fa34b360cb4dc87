import type * as pulumi from '@pulumi/pulumi';
import * as aws from './aws';

/** Where a component's provider works: what ARNs are made of, so that no partition is written down. */
export interface Place {
  readonly accountId: pulumi.Output<string>;
  readonly partition: pulumi.Output<string>;
  readonly region: pulumi.Output<string>;
  readonly dnsSuffix: pulumi.Output<string>;
}

export function placeOf(parent: pulumi.Resource): Place {
  const { partition, dnsSuffix } = aws.getPartitionOutput({}, { parent });
  const { accountId } = aws.getCallerIdentityOutput({}, { parent });
  const { region } = aws.getRegionOutput({}, { parent });
  return { accountId, partition, region, dnsSuffix };
}
