import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';

/** Addresses of an annotation server that change it: models and their configuration. */
export const ADMIN_PATHS = ['/admin', '/admin/*', '/*/admin', '/*/admin/*'] as const;

export interface AdministrationOptions {
  /**
   * Addresses to which a load balancer inside the VPC passes the administration on, where the allow-list of clients lets them in.
   * Undefined for a public one: whoever calls it from inside comes with an address of the internet.
   */
  readonly vpcCidr: string | undefined;
  readonly targetGroupArn: pulumi.Input<string>;
}

/** The administration answers inside the VPC and nobody else, whatever the allow-list of clients says. */
export function guardAdministration(
  name: string,
  listenerArn: pulumi.Input<string>,
  { vpcCidr, targetGroupArn }: AdministrationOptions,
  child: pulumi.CustomResourceOptions,
): void {
  const adminPath = { pathPattern: { values: [...ADMIN_PATHS] } };
  if (vpcCidr !== undefined) {
    new aws.lb.ListenerRule(
      `${name}-admin-inside`,
      {
        listenerArn,
        priority: 10,
        conditions: [adminPath, { sourceIp: { values: [vpcCidr] } }],
        actions: [{ type: 'forward', targetGroupArn }],
      },
      child,
    );
  }
  new aws.lb.ListenerRule(
    `${name}-admin-outside`,
    {
      listenerArn,
      priority: 20,
      conditions: [adminPath],
      actions: [
        {
          type: 'fixed-response',
          fixedResponse: {
            statusCode: '403',
            contentType: 'text/plain',
            messageBody: 'The administration of this server answers inside its own network only.',
          },
        },
      ],
    },
    child,
  );
}
