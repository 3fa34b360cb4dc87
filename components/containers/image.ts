/**
 * Container images are named by digest and nothing else: a tag can be moved, and then two hospitals run different programs under
 * one plan. They come from the federation's own mirror in ECR, so that a site needs no other registry.
 */
export const IMAGE =
  /^(?<account>\d{12})\.dkr\.ecr\.(?<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/(?<repository>[a-z0-9][a-z0-9._/-]*)@sha256:[0-9a-f]{64}$/;

export const IMAGE_RULE =
  'must be an image of the mirror by digest, <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<64 hexadecimal digits>';

/** Images that a site runs, by what they are. */
export const SITE_IMAGES = ['aiaa', 'agent', 'collector'] as const;
export type SiteImage = (typeof SITE_IMAGES)[number];

/** ARN of the repository that an image lies in. @throws TypeError when it is not in ECR */
export function repositoryArn(image: string, partition: string): string {
  const { account, region, repository } = IMAGE.exec(image)?.groups ?? {};
  if (repository === undefined) throw new TypeError(`${image} ${IMAGE_RULE}`);
  return `arn:${partition}:ecr:${region}:${account}:repository/${repository}`;
}
