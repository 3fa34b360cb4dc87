import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from './aws';
import { dataKey } from './data-key';
import { requireAwsProvider } from './explicit-provider';
import { checked } from './faults';
import { ACCOUNT_ID } from './input-rules';
import { placeOf } from './place';
import { type PolicyDocument, policyDocument } from './policy-document';

export interface ImageMirrorArgs {
  /** Names of repositories. */
  readonly repositories: readonly string[];
  /** The region of the stack first; images that are pushed there are copied to the others. */
  readonly regions: readonly string[];
  /** Accounts that pull. */
  readonly pullAccounts: readonly string[];
}

const ARGUMENTS = z.strictObject({
  repositories: z.array(z.string()).min(1, 'must name at least one image'),
  regions: z.array(z.string()).min(1, 'must name at least the region of the stack'),
  pullAccounts: z.array(z.string().regex(ACCOUNT_ID, 'must be an account id')),
});

/** Untagged images are what pushes leave behind; sites name digests, which stay as long as their tag. */
const UNTAGGED_DAYS = 14;

/**
 * The federation's own registry: every image that any site runs, in every region where there are sites, so that an isolated
 * network needs no other one, and NVIDIA's registry, whose images are pulled through nothing, is asked once.
 */
export class ImageMirror extends pulumi.ComponentResource {
  /** URL of each repository in the region of the stack, by its name: where images are pushed to. */
  public readonly repositoryUrls: Readonly<Record<string, pulumi.Output<string>>>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: ImageMirrorArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `ImageMirror ${name}`;
    const { repositories, regions, pullAccounts } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:platform:ImageMirror', name, {}, opts);
    const child = { parent: this };
    const [home, ...others] = regions;
    const { accountId } = placeOf(this);

    const made = regions.map((region) => {
      const suffix = region === home ? '' : `-${region}`;
      const key = dataKey(`${name}-key${suffix}`, {
        description: `Container images of ${name}`,
        retainOnDelete: false,
        parent: this,
        ...(region !== home && { region }),
      });
      return repositories.map((repositoryName) =>
        this.#repository(name, repositoryName, { region, suffix, key, pullAccounts }),
      );
    });
    if (others.length > 0) {
      new aws.ecr.ReplicationConfiguration(
        name,
        {
          replicationConfiguration: {
            rules: [
              {
                destinations: others.map((region) => ({ region, registryId: accountId })),
                repositoryFilters: [{ filter: 'clara-federation/', filterType: 'PREFIX_MATCH' }],
              },
            ],
          },
        },
        // A copy that arrives before its repository would make one without key and policy.
        { ...child, dependsOn: made.flat() },
      );
    }
    this.repositoryUrls = Object.fromEntries(
      repositories.map((repository, index) => [repository, made[0][index].repositoryUrl]),
    );
    this.registerOutputs({ repositoryUrls: this.repositoryUrls });
  }

  #repository(
    name: string,
    repositoryName: string,
    options: {
      readonly region: string;
      readonly suffix: string;
      readonly key: aws.kms.Key;
      readonly pullAccounts: readonly string[];
    },
  ): aws.ecr.Repository {
    const { region, suffix, key, pullAccounts } = options;
    const { partition } = placeOf(this);
    const child = { parent: this };
    const logical = `${name}-${repositoryName.split('/').pop()}${suffix}`;
    const elsewhere = suffix === '' ? {} : { region };
    const repository = new aws.ecr.Repository(
      logical,
      {
        name: repositoryName,
        imageTagMutability: 'IMMUTABLE',
        imageScanningConfiguration: { scanOnPush: true },
        encryptionConfigurations: [{ encryptionType: 'KMS', kmsKey: key.arn }],
        ...elsewhere,
      },
      child,
    );
    new aws.ecr.LifecyclePolicy(
      logical,
      {
        repository: repository.name,
        policy: JSON.stringify({
          rules: [
            {
              rulePriority: 1,
              description: 'What pushes leave behind',
              selection: {
                tagStatus: 'untagged',
                countType: 'sinceImagePushed',
                countUnit: 'days',
                countNumber: UNTAGGED_DAYS,
              },
              action: { type: 'expire' },
            },
          ],
        }),
        ...elsewhere,
      },
      child,
    );
    if (pullAccounts.length > 0) {
      new aws.ecr.RepositoryPolicy(
        logical,
        {
          repository: repository.name,
          policy: pulumi.jsonStringify(partition.apply((part) => pullPolicy(part, pullAccounts))),
          ...elsewhere,
        },
        child,
      );
    }
    return repository;
  }
}

/** Hospitals pull and nothing else; which of their roles do is theirs to say. */
export function pullPolicy(partition: string, accounts: readonly string[]): PolicyDocument {
  return policyDocument({
    Sid: 'SitesPull',
    Effect: 'Allow',
    Principal: { AWS: [...accounts].sort().map((account) => `arn:${partition}:iam::${account}:root`) },
    Action: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
  });
}
