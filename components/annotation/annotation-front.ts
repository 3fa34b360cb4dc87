import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { ANNOTATION_PORT } from '../containers/annotation-program';
import { HTTPS_PORT } from '../network/site-network';
import { addRules, type SecurityRule, securityGroup } from '../network/task-security-group';
import { type SiteContext, stackPrefix } from '../site-context';
import { accessLogBucket } from './access-log-bucket';
import { guardAdministration } from './listener-rules';

/** Seconds: an inference of a large CT on a cold GPU takes minutes in one request, and the load balancer's own 60 s cut it off. */
export const IDLE_SECONDS = 600;
/** TLS 1.2 with forward secrecy and 1.3 (ELB user guide, "Security policies for your Application Load Balancer"). */
export const TLS_POLICY = 'ELBSecurityPolicy-TLS13-1-2-Res-2021-06';
const HTTP_PORT = 80;

export interface AnnotationFrontOptions {
  readonly site: SiteContext;
  /** Public subnets, reached from the internet by those who are listed. */
  readonly isPublic: boolean;
  readonly clientCidrs: readonly string[];
  /** ACM certificate; without one it is plain HTTP. */
  readonly certificateArn: string | undefined;
  readonly healthPath: string;
}

export interface AnnotationFront {
  readonly loadBalancer: aws.lb.LoadBalancer;
  readonly targets: aws.lb.TargetGroup;
  /** Which requests for the server arrive at. */
  readonly listener: aws.lb.Listener;
  /** Security group of the tasks, which the load balancer reaches. */
  readonly taskGroup: aws.ec2.SecurityGroup;
}

/** What stands before the tasks of an annotation server: load balancer, listeners, and who may come through. */
export function annotationFront(
  name: string,
  { site, isPublic, clientCidrs, certificateArn, healthPath }: AnnotationFrontOptions,
  child: pulumi.CustomResourceOptions & { readonly parent: pulumi.Resource },
): AnnotationFront {
  const { network } = site;
  const secure = certificateArn !== undefined;
  const front = securityGroup(
    `${name}-front`,
    {
      vpcId: network.vpcId,
      description: `Load balancer of ${name}`,
      ingress: clientCidrs.flatMap((cidr, index) => clientRules(cidr, index, secure)),
    },
    child,
  );
  const taskGroup = securityGroup(
    `${name}-tasks`,
    {
      vpcId: network.vpcId,
      description: `Tasks of ${name}`,
      ingress: [rule('from-front', 'Requests', { group: front.id })],
      egress: network.awsApis,
    },
    child,
  );
  addRules(`${name}-front`, front, { egress: [rule('to-tasks', 'Requests', { group: taskGroup.id })] }, child);

  const logs = accessLogBucket(`${name}-access`, { days: site.logDays }, child);
  const loadBalancer = new aws.lb.LoadBalancer(
    name,
    {
      // A prefix instead of a name: with 32 characters there is no room for a hospital's id and a unique end.
      namePrefix: 'clara-',
      loadBalancerType: 'application',
      internal: !isPublic,
      subnets: Object.values(isPublic ? network.publicSubnets : network.privateSubnets),
      securityGroups: [front.id],
      idleTimeout: IDLE_SECONDS,
      dropInvalidHeaderFields: true,
      desyncMitigationMode: 'strictest',
      accessLogs: { enabled: true, bucket: logs.bucket.bucket },
      tags: { Name: `${stackPrefix(site)}-annotation` },
    },
    { ...child, dependsOn: [logs.policy] },
  );
  const targets = new aws.lb.TargetGroup(
    name,
    {
      namePrefix: 'clara-',
      vpcId: network.vpcId,
      targetType: 'ip',
      protocol: 'HTTP',
      port: ANNOTATION_PORT,
      // A segmentation that runs may end before its task does.
      deregistrationDelay: 300,
      healthCheck: {
        path: healthPath,
        matcher: '200',
        interval: 60,
        timeout: 55,
        healthyThreshold: 2,
        unhealthyThreshold: 3,
      },
      tags: { Name: `${stackPrefix(site)}-annotation` },
    },
    child,
  );
  const listener = listeners(name, { loadBalancer, targets, certificateArn }, child);
  guardAdministration(
    name,
    listener.arn,
    { vpcCidr: isPublic ? undefined : network.cidr, targetGroupArn: targets.arn },
    child,
  );
  return { loadBalancer, targets, listener, taskGroup };
}

/** @returns the listener that requests for the server arrive at */
function listeners(
  name: string,
  {
    loadBalancer,
    targets,
    certificateArn,
  }: Pick<AnnotationFront, 'loadBalancer' | 'targets'> & Pick<AnnotationFrontOptions, 'certificateArn'>,
  child: pulumi.CustomResourceOptions,
): aws.lb.Listener {
  const toTargets = [{ type: 'forward', targetGroupArn: targets.arn }];
  const toHttps = [
    { type: 'redirect', redirect: { protocol: 'HTTPS', port: String(HTTPS_PORT), statusCode: 'HTTP_301' } },
  ];
  const http = new aws.lb.Listener(
    `${name}-http`,
    {
      loadBalancerArn: loadBalancer.arn,
      port: HTTP_PORT,
      protocol: 'HTTP',
      defaultActions: certificateArn === undefined ? toTargets : toHttps,
    },
    child,
  );
  if (certificateArn === undefined) return http;
  return new aws.lb.Listener(
    `${name}-https`,
    {
      loadBalancerArn: loadBalancer.arn,
      port: HTTPS_PORT,
      protocol: 'HTTPS',
      sslPolicy: TLS_POLICY,
      certificateArn,
      defaultActions: toTargets,
    },
    child,
  );
}

/** With TLS, port 80 is open to the same people, for the redirect. */
function clientRules(cidr: string, index: number, secure: boolean): SecurityRule[] {
  const ports = secure ? [HTTPS_PORT, HTTP_PORT] : [HTTP_PORT];
  return ports.map((port) => ({
    name: `from-clients-${index + 1}-${port}`,
    description: 'Clients of the annotation server',
    port,
    peer: { cidr },
  }));
}

function rule(name: string, description: string, peer: SecurityRule['peer']): SecurityRule {
  return { name, description, port: ANNOTATION_PORT, peer };
}
