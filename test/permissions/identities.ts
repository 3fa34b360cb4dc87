import type { Document, NamedDocument, World } from './world';

/** Somebody who calls AWS. */
export interface Identity {
  readonly key: string;
  /** As a heading of a table. */
  readonly title: string;
  /** ARN of a role, or name of a service; undefined for a call that nobody signed. */
  readonly principal: string | undefined;
  readonly account: string;
  readonly service?: string;
  readonly identity: readonly NamedDocument[];
  readonly boundary: readonly NamedDocument[];
  /** Stack in whose network it runs. */
  readonly network?: string;
}

/** The stacks that the tables are about: one hospital, another one, and the platform of their environment. */
export const HOSPITAL = 'prod-charite';
export const OTHER = 'prod-leeds';
/** Had its account before, and keeps it. */
export const ADOPTED = 'prod-st-marys';
export const PLATFORM = 'prod';
/** An account outside the organisation. */
export const STRANGER = '000011112222';

const EVERYTHING: Document = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
};

const nameOf = (stack: string) => stack.slice(stack.indexOf('-') + 1);

/** A role of a plan. */
export function roleIn(world: World, stack: string, role: string, key: string, title: string): Identity {
  const { arn, account, identity, boundary } = world.role(stack, role);
  return { key, title, principal: arn, account, identity, boundary, network: stack };
}

/** The role with which a stack is deployed; the organisation's stack makes it. */
export function deployer(world: World, stack: string, key: string, title: string): Identity {
  return { ...roleIn(world, 'org', `org-deployment-${stack}`, key, title), network: undefined };
}

/** An identity that no plan makes: a person or program with every right that an account can give. */
export function administrator(account: string, role: string, key: string, title: string): Identity {
  return {
    key,
    title,
    principal: `arn:aws:iam::${account}:role/${role}`,
    account,
    identity: [{ name: 'AdministratorAccess', policy: EVERYTHING }],
    boundary: [],
  };
}

export function service(name: string, title: string): Identity {
  return { key: name, title, principal: name, account: '', service: name, identity: [], boundary: [] };
}

/** Whose columns the tables have: who belongs to the hospital, and who does not. */
export function identitiesOf(world: World): {
  readonly inside: readonly Identity[];
  readonly outside: readonly Identity[];
} {
  const hospital = world.plans[HOSPITAL].account;
  const other = world.plans[OTHER].account;
  const platform = world.plans[PLATFORM].account;
  const [h, o] = [nameOf(HOSPITAL), nameOf(OTHER)];
  return {
    inside: [
      roleIn(world, HOSPITAL, `${h}-agent-task`, 'agent', 'agent'),
      roleIn(world, HOSPITAL, `${h}-agent-execution`, 'agentStart', 'start of agent'),
      roleIn(world, HOSPITAL, `${h}-training-monai-unet-task`, 'trainer', 'trainer'),
      roleIn(world, HOSPITAL, `${h}-annotation-task`, 'aiaa', 'annotation'),
      roleIn(world, HOSPITAL, `${h}-annotation-execution`, 'aiaaStart', 'start of annotation'),
      roleIn(world, HOSPITAL, `${h}-bootstrap-prepare-task`, 'prepare', 'preparation'),
      roleIn(world, HOSPITAL, `${h}-gpu-node`, 'node', 'GPU instance'),
      deployer(world, HOSPITAL, 'deployer', 'deployment'),
      administrator(hospital, 'HospitalAdministrator', 'admin', 'administrator'),
    ],
    outside: [
      roleIn(world, PLATFORM, 'prod-coordinator-a-task', 'coordinator', 'coordinator'),
      deployer(world, PLATFORM, 'platformDeployer', "platform's deployment"),
      { ...administrator(platform, 'clara-federation-ci', 'ci', "platform's pipeline") },
      administrator(platform, 'PlatformAdministrator', 'operator', "platform's administrator"),
      administrator(hospital, 'OrganizationAccountAccessRole', 'org', "organisation's stack"),
      roleIn(world, OTHER, `${o}-agent-task`, 'otherAgent', "other hospital's agent"),
      roleIn(world, OTHER, `${o}-training-clara-mmar-task`, 'otherTrainer', "other hospital's trainer"),
      roleIn(world, OTHER, `${o}-bootstrap-prepare-task`, 'otherPrepare', "other hospital's preparation"),
      deployer(world, OTHER, 'otherDeployer', "other hospital's deployment"),
      administrator(other, 'HospitalAdministrator', 'otherAdmin', "other hospital's administrator"),
      administrator(STRANGER, 'Administrator', 'stranger', 'stranger with an account'),
      { key: 'anonymous', title: 'nobody signed', principal: undefined, account: '', identity: [], boundary: [] },
    ],
  };
}
