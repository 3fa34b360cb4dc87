import type * as pulumi from '@pulumi/pulumi';
import * as aws from './aws';
import { DeploymentInputError } from './faults';

/**
 * Refuses a component that would fall back to the default AWS provider: that one follows whatever credentials lie in the
 * shell, and the wrong hospital's account is one forgotten variable away.
 *
 * @returns the provider, for what does not inherit it: a remote component such as the VPC of `@pulumi/awsx`
 * @throws DeploymentInputError when neither the options nor the parent carry an `aws` provider
 */
export function requireAwsProvider(
  component: string,
  options: pulumi.ComponentResourceOptions | undefined,
): aws.Provider {
  const { provider, providers = [], parent } = options ?? {};
  const given = [provider, ...Object.values(providers), parent?.getProvider('aws:index:any')];
  const found = given.find((candidate) => aws.Provider.isInstance(candidate));
  if (found !== undefined) return found as aws.Provider;
  throw new DeploymentInputError(component, [
    {
      path: 'provider',
      rule: 'an explicit aws provider is required, pass { provider } or a parent that has one; the default provider of the shell is never used',
    },
  ]);
}
