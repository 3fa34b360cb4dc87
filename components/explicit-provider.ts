import * as aws from '@pulumi/aws';
import type * as pulumi from '@pulumi/pulumi';
import { DeploymentInputError } from './faults';

/**
 * Refuses a component that would fall back to the default AWS provider: that one follows whatever credentials lie in the
 * shell, and the wrong hospital's account is one forgotten variable away.
 *
 * @throws DeploymentInputError when neither the options nor the parent carry an `aws` provider
 */
export function requireAwsProvider(component: string, options: pulumi.ComponentResourceOptions | undefined): void {
  const { provider, providers = [], parent } = options ?? {};
  const given = [provider, ...Object.values(providers)].some((candidate) => aws.Provider.isInstance(candidate));
  if (given || parent?.getProvider('aws:index:any') !== undefined) return;
  throw new DeploymentInputError(component, [
    {
      path: 'provider',
      rule: 'an explicit aws provider is required, pass { provider } or a parent that has one; the default provider of the shell is never used',
    },
  ]);
}
