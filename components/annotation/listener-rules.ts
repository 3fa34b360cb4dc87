import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';

/** Addresses of an annotation server that change it: models and their configuration. */
export const ADMIN_PATHS = ['/admin', '/admin/*', '/*/admin', '/*/admin/*'] as const;

/** The administration answers inside the VPC and nobody else, whatever the allow-list of clients says. */
export function guardAdministration(
  name: string,
  listenerArn: pulumi.Input<string>,
  { vpcCidr, targetGroupArn }: { readonly vpcCidr: string; readonly targetGroupArn: pulumi.Input<string> },
  child: pulumi.CustomResourceOptions,
): void {
  const adminPath = { pathPattern: { values: [...ADMIN_PATHS] } };
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
