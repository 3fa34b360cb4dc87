import type * as pulumi from '@pulumi/pulumi';
import type { SiteImage } from './containers/image';
import type { GpuCluster } from './gpu/gpu-cluster';
import type { SiteNetwork } from './network/site-network';
import type { WorkspaceFileSystem } from './workspace-file-system';

/** What the services of a site share; made once by `ClaraSite` and handed to each. */
export interface SiteContext {
  readonly environment: string;
  readonly siteId: string;
  readonly network: SiteNetwork;
  readonly cluster: GpuCluster;
  readonly workspace: WorkspaceFileSystem;
  readonly images: Readonly<Record<SiteImage, string>>;
  readonly logDays: number;
  /** KMS key of logs, secrets and alarms. */
  readonly operationsKeyArn: pulumi.Output<string>;
}

/** `prod-st-marys`: what names that must be unique in an account and region begin with. */
export function stackPrefix({ environment, siteId }: Pick<SiteContext, 'environment' | 'siteId'>): string {
  return `${environment}-${siteId}`;
}
