import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { type SiteContext, stackPrefix } from '../site-context';

export interface SecretPath {
  readonly secretArn: pulumi.Output<string>;
  /** `/st-marys/...`, a secret. */
  readonly path: pulumi.Output<string>;
}

/**
 * The secret path before all others of an annotation server: with the allow-list, the only access control that an unmodified
 * 3D Slicer can take part in. AWS draws it at the first deployment and it stays, because what is drawn later is ignored; it is a
 * secret in the state and appears in no plan.
 */
export function secretPath(name: string, site: SiteContext, child: { readonly parent: pulumi.Resource }): SecretPath {
  const secret = new aws.secretsmanager.Secret(
    `${name}-path`,
    {
      description: `Path prefix of the annotation server of ${stackPrefix(site)}`,
      kmsKeyId: site.operationsKeyArn,
      recoveryWindowInDays: 7,
    },
    child,
  );
  const drawn = aws.secretsmanager.getRandomPasswordOutput({ passwordLength: 32, excludePunctuation: true }, child);
  const version = new aws.secretsmanager.SecretVersion(
    `${name}-path`,
    {
      secretId: secret.id,
      secretString: pulumi.secret(drawn.randomPassword.apply((random) => `/${site.siteId}/${random}`)),
    },
    { ...child, ignoreChanges: ['secretString'] },
  );
  // The task reads the secret when it starts, so its ARN is handed out only once there is a value.
  return {
    secretArn: pulumi.all([secret.arn, version.id]).apply(([arn]) => arn),
    path: version.secretString.apply((path) => path ?? '') as pulumi.Output<string>,
  };
}
