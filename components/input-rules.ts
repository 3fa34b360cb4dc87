import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import { isCidr, MOST_ZONES } from './network/address-plan';

/** The forms of AWS identifiers, and rules for arguments that may be known only after another resource was made. */

export const ACCOUNT_ID = /^\d{12}$/;
export const KMS_KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[0-9a-zA-Z-]+$/;
export const ROLE_ARN = /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/;
export const VPC_ID = /^vpc-[0-9a-f]{8,17}$/;
export const SUBNET_ID = /^subnet-[0-9a-f]{8,17}$/;
/** Zone ids (`euw2-az1`), not names (`eu-west-2a`): only ids mean the same zone in every account. */
export const ZONE_ID = /^[a-z]+\d+-az\d+$/;

/** Text that matches `form`, or an output or promise of it, which AWS will check when it is known. */
export function textInput(form: RegExp, rule: string) {
  return z.custom<pulumi.Input<string>>(
    (value) =>
      (typeof value === 'string' && form.test(value)) || pulumi.Output.isInstance(value) || value instanceof Promise,
    { error: rule },
  );
}

export const days = z
  .number({ error: 'must be a whole number of days' })
  .int('must be a whole number of days')
  .min(1, 'must be at least 1 day')
  .max(3650, 'must be at most 3650 days');

/** Subnet ids by zone id. A record, because a file system takes one mount target a zone and a zone names its child. */
export function subnetsByZone<Id extends z.ZodType>(id: Id) {
  return z.record(z.string(), id, { error: 'must map zone ids to subnet ids' }).superRefine((subnets, context) => {
    const zones = Object.keys(subnets);
    for (const zone of zones.filter((key) => !ZONE_ID.test(key))) {
      context.addIssue({ code: 'custom', path: [zone], message: 'the key must be a zone id such as euw2-az1' });
    }
    if (zones.length < 2) {
      context.addIssue({ code: 'custom', message: 'at least two zones are needed, so that one of them may fail' });
    }
    const plain = Object.values(subnets).filter((subnet) => typeof subnet === 'string');
    if (new Set(plain).size < plain.length) {
      context.addIssue({ code: 'custom', message: 'every zone needs a subnet of its own' });
    }
  });
}

/** An IPv4 range whose prefix length is between the two. */
export function cidrBlock(shortest: number, longest: number) {
  const rule = `must be an IPv4 range such as 10.80.0.0/20, with a prefix of /${shortest} to /${longest} and no bits beyond it`;
  return z.string({ error: rule }).refine((text) => {
    const bits = Number(text.split('/')[1]);
    return isCidr(text) && bits >= shortest && bits <= longest;
  }, rule);
}

/** Zone names by zone id. */
export const zoneNames = z
  .record(z.string().regex(ZONE_ID, 'the key must be a zone id such as euw2-az1'), z.string().min(1))
  .refine((zones) => Object.keys(zones).length >= 2, 'at least two zones are needed, so that one of them may fail')
  .refine(
    (zones) => Object.keys(zones).length <= MOST_ZONES,
    `at most ${MOST_ZONES} zones, that many have a place in the address plan`,
  );

export const onOff = z.boolean({ error: 'must be true or false' });

/** Arguments that other components made: checked by their types, and by AWS when they are known. */
export const given = z.custom<never>((value) => value !== undefined, 'is needed');

export const CERTIFICATE_ARN = /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[0-9a-f-]+$/;
export const HOST_NAME = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/;
export const HOSTED_ZONE_ID = /^Z[0-9A-Z]{8,31}$/;
