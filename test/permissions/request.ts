import assert from 'node:assert/strict';
import {
  anonymousPrincipal,
  getDenialReasons,
  type RequestAnalysis,
  runSimulation,
  type SimulationOrgPolicies,
} from '@cloud-copilot/iam-simulate';
import type { Identity } from './identities';
import type { World } from './world';

/** One call of AWS, and whether it is let through. */
export interface Call {
  readonly action: string;
  readonly resource: string;
  readonly account: string;
  readonly region: string;
  /** Condition keys beyond those that every call has; `undefined` takes one of these away. */
  readonly context?: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** What stands in the way: a layer of {@link LAYERS}. */
export type Layer = keyof typeof LAYERS;

/** Layers in the order in which a reader thinks of them, with the word of the page. */
export const LAYERS = {
  identity: 'no right',
  resource: 'policy',
  pb: 'boundary',
  scp: 'SCP',
  rcp: 'RCP',
  vpce: 'endpoint',
} as const;

export interface Verdict {
  readonly allowed: boolean;
  /** Every layer that alone would have refused; empty when allowed. */
  readonly by: readonly Layer[];
  /** Statements that denied by name. */
  readonly statements: readonly string[];
  /** Condition keys that AWS does not give to this action, so that no policy can see them. */
  readonly unseen: readonly string[];
}

export async function ask(world: World, who: Identity, call: Call): Promise<Verdict> {
  const { action, resource, account } = call;
  const context = Object.entries({ ...callContext(world, who, call), ...call.context }).filter(
    (entry): entry is [string, string | string[]] => entry[1] !== undefined,
  );
  const isAnonymous = who.principal === undefined;
  const answer = await runSimulation(
    {
      request: {
        principal: who.principal ?? anonymousPrincipal,
        action,
        resource: { resource, accountId: account },
        contextVariables: Object.fromEntries(context),
      },
      identityPolicies: [...who.identity],
      serviceControlPolicies: isAnonymous ? [] : (world.guardRails(who.account).service as SimulationOrgPolicies[]),
      resourceControlPolicies: world.guardRails(account).resource as SimulationOrgPolicies[],
      resourcePolicy: world.resourcePolicy(resource),
      ...(who.boundary.length > 0 && { permissionBoundaryPolicies: [...who.boundary] }),
      ...(who.network !== undefined && endpoints(world, who.network, action)),
    },
    {},
  );
  assert.equal(answer.resultType, 'single', `${action} ${resource}: ${JSON.stringify(answer)}`);
  if (answer.resultType !== 'single') throw new Error('unreachable');
  const { analysis, ignoredContextKeys = [] } = answer.result;
  if (analysis.result === 'Allowed') return { allowed: true, by: [], statements: [], unseen: ignoredContextKeys };
  return {
    allowed: false,
    by: layersAgainst(analysis, who.service === undefined && !isAnonymous),
    statements: getDenialReasons(analysis).flatMap((each) =>
      each.denialType === 'Explicit' ? [each.statementId ?? 'unnamed'] : [],
    ),
    unseen: ignoredContextKeys,
  };
}

/** What of a refused call would have to be changed before it passes: all of these layers, not one of them. */
function layersAgainst(analysis: RequestAnalysis, hasRights: boolean): Layer[] {
  const { sameAccount, identityAnalysis, resourceAnalysis } = analysis;
  const has: Record<Layer, boolean> = {
    // A service, and a call that nobody signed, have no rights of their own to be asked about.
    identity: hasRights && identityAnalysis?.result !== 'Allowed',
    // In its own account an identity needs no policy of the resource; from another one, and to take a role, it does.
    resource: resourceAnalysis?.result === 'ExplicitlyDenied' || (!sameAccount && !allows(resourceAnalysis?.result)),
    pb: analysis.permissionBoundaryAnalysis !== undefined && analysis.permissionBoundaryAnalysis.result !== 'Allowed',
    scp: analysis.scpAnalysis !== undefined && analysis.scpAnalysis.result !== 'Allowed',
    rcp: analysis.rcpAnalysis !== undefined && analysis.rcpAnalysis.result !== 'Allowed',
    vpce: analysis.endpointAnalysis !== undefined && analysis.endpointAnalysis.result !== 'Allowed',
  };
  const layers = (Object.keys(LAYERS) as Layer[]).filter((layer) => has[layer]);
  return layers.length > 0 ? layers : ['resource'];
}

function allows(result: string | undefined): boolean {
  return result === 'Allowed' || result === 'AllowedForAccount';
}

function endpoints(world: World, network: string, action: string) {
  const vpcEndpointPolicies = [...world.endpointPolicies(network, action.split(':')[0])];
  return vpcEndpointPolicies.length === 0 ? {} : { vpcEndpointPolicies };
}

/** What AWS itself says about a call (IAM user guide, "AWS global condition context keys"). */
function callContext(
  world: World,
  who: Identity,
  { account, region, action }: Call,
): Record<string, string | undefined> {
  const isMember = world.isMember(who.account) && who.principal !== undefined;
  const common = {
    'aws:SecureTransport': 'true',
    'aws:RequestedRegion': region,
    'aws:ResourceAccount': account,
    'aws:PrincipalIsAWSService': String(who.service !== undefined),
    ...(action.startsWith('s3:') && { 's3:TlsVersion': '1.3' }),
  };
  if (who.service !== undefined) return { ...common, 'aws:PrincipalServiceName': who.service };
  if (who.principal === undefined) return { ...common, 'aws:PrincipalType': 'Anonymous' };
  return {
    ...common,
    'aws:PrincipalArn': who.principal,
    'aws:PrincipalAccount': who.account,
    'aws:PrincipalType': 'AssumedRole',
    'aws:PrincipalOrgID': isMember ? world.organizationId : undefined,
  };
}
