import * as aws from '../components/aws';

export interface StackProviderOptions {
  readonly environment: string;
  readonly accountId: string;
  readonly region: string;
  /** Role to deploy with; the caller's own credentials without one. */
  readonly roleArn?: string;
  /** Short name of who does it, for CloudTrail. */
  readonly session: string;
  /** Beside the tags of every resource of the platform. */
  readonly tags?: Readonly<Record<string, string>>;
}

/**
 * The one way to an AWS provider. An explicit provider takes nothing from the stack's `aws:` configuration, so all of it is said
 * here: it refuses to work in any account but the given one, and it tags everything that it makes.
 */
export function stackProvider(name: string, options: StackProviderOptions): aws.Provider {
  const { environment, accountId, region, roleArn, session, tags } = options;
  return new aws.Provider(name, {
    region: region as aws.Region,
    allowedAccountIds: [accountId],
    ...(roleArn === undefined ? {} : { assumeRoles: [{ roleArn, sessionName: `clara-federation-${session}` }] }),
    defaultTags: {
      tags: { Project: 'clara-federation', Environment: environment, ...tags, ManagedBy: 'pulumi' },
    },
  });
}
