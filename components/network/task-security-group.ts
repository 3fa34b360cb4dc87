import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';

/** Where a connection may come from or go to. */
export type Peer =
  | { readonly cidr: string }
  | { readonly group: pulumi.Input<string> }
  | { readonly prefixList: pulumi.Input<string> };

export interface SecurityRule {
  /** Last part of the name of the rule's resource; says what the rule is for. */
  readonly name: string;
  readonly description: string;
  readonly port: number;
  readonly peer: Peer;
}

export interface SecurityGroupOptions {
  readonly vpcId: pulumi.Input<string>;
  readonly description: string;
  readonly ingress?: readonly SecurityRule[];
  readonly egress?: readonly SecurityRule[];
}

/** A security group with one resource a rule: AWS's advice, because rules inside the group cannot be told apart. */
export function securityGroup(
  name: string,
  { vpcId, description, ingress = [], egress = [] }: SecurityGroupOptions,
  child: pulumi.CustomResourceOptions,
): aws.ec2.SecurityGroup {
  const group = new aws.ec2.SecurityGroup(name, { vpcId, description, tags: { Name: name } }, child);
  addRules(name, group, { ingress, egress }, child);
  return group;
}

/** More rules for a group, for two groups that name each other. */
export function addRules(
  name: string,
  group: aws.ec2.SecurityGroup,
  { ingress = [], egress = [] }: Pick<SecurityGroupOptions, 'ingress' | 'egress'>,
  child: pulumi.CustomResourceOptions,
): void {
  for (const rule of ingress) {
    new aws.vpc.SecurityGroupIngressRule(
      `${name}-${rule.name}`,
      { securityGroupId: group.id, ...ruleArgs(rule) },
      child,
    );
  }
  for (const rule of egress) {
    new aws.vpc.SecurityGroupEgressRule(
      `${name}-${rule.name}`,
      { securityGroupId: group.id, ...ruleArgs(rule) },
      child,
    );
  }
}

function ruleArgs({ port, description, peer }: SecurityRule) {
  return { ipProtocol: 'tcp', fromPort: port, toPort: port, description, ...peerArgs(peer) };
}

function peerArgs(peer: Peer) {
  if ('cidr' in peer) return { cidrIpv4: peer.cidr };
  if ('group' in peer) return { referencedSecurityGroupId: peer.group };
  return { prefixListId: peer.prefixList };
}
