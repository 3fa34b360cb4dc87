/** Names of repositories and images in the mirror of an environment. */

export interface Mirror {
  readonly environment: string;
  /** The platform's account. */
  readonly accountId: string;
}

export function repositoryName(environment: string, image: string): string {
  return `clara-federation/${environment}/${image}`;
}

/** The copy of an image in a region, by digest. */
export function mirroredImage(
  { environment, accountId }: Mirror,
  image: string,
  digest: string,
  region: string,
): string {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  return `${accountId}.dkr.ecr.${region}.${suffix}/${repositoryName(environment, image)}@${digest}`;
}
