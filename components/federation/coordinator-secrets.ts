import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { dataKey } from '../data-key';
import { requireAwsProvider } from '../explicit-provider';
import type { Statement } from '../policy-document';
import { keepSecrets } from '../tasks/task-policies';

export interface CoordinatorSecretsArgs {
  readonly environment: string;
  /** None of it can be deleted by a destroy of the stack. */
  readonly protect: boolean;
}

/**
 * What the coordinators keep in Secrets Manager: the federation's certificate authority, and the credentials of the first
 * operator. The stack makes both without a value, and the coordinator that starts first puts one in: no key is ever in a state, a
 * plan or a file.
 */
export class CoordinatorSecrets extends pulumi.ComponentResource {
  public readonly authorityArn: pulumi.Output<string>;
  public readonly operatorArn: pulumi.Output<string>;
  public readonly keyArn: pulumi.Output<string>;

  /** @throws DeploymentInputError without an explicit aws provider */
  constructor(name: string, { environment, protect }: CoordinatorSecretsArgs, opts?: pulumi.ComponentResourceOptions) {
    requireAwsProvider(`CoordinatorSecrets ${name}`, opts);
    super('clara-federation:federation:CoordinatorSecrets', name, {}, opts);
    const child = { parent: this, protect };
    // A secret that was destroyed can be brought back for as long as its key is there.
    const key = dataKey(`${name}-key`, {
      description: `Secrets of the coordinators in ${environment}`,
      retainOnDelete: true,
      ...child,
    });
    const secret = (what: string, description: string) =>
      new aws.secretsmanager.Secret(
        `${name}-${what}`,
        { description: `${description} of ${environment}`, kmsKeyId: key.arn, recoveryWindowInDays: 30 },
        child,
      );
    this.authorityArn = secret('authority', 'Certificate authority').arn;
    this.operatorArn = secret('operator', "First operator's credentials").arn;
    this.keyArn = key.arn;
    this.registerOutputs({ authorityArn: this.authorityArn, operatorArn: this.operatorArn });
  }

  /** What a coordinator does with them. */
  statements(region: pulumi.Input<string>): pulumi.Output<Statement[]> {
    return pulumi
      .all([this.authorityArn, this.operatorArn, this.keyArn, region])
      .apply(([authority, operator, key, area]) => keepSecrets([authority, operator], key, area));
  }
}
