import { planOf } from '../stacks/plans';
import { type Deployed, type World, worldOf } from './world';

/** Stacks whose documents are simulated: production, where everything holds, and the organisation. */
export const STACKS = ['org', 'prod', 'prod-charite', 'prod-leeds', 'prod-st-marys'] as const;

/** Their plans, each made once for a run of tests, as one world. */
export async function deployedWorld(): Promise<World> {
  const plans: Record<string, Deployed> = {};
  for (const stack of STACKS) plans[stack] = await deployed(stack);
  return worldOf(plans);
}

async function deployed(stack: string): Promise<Deployed> {
  const { resources } = await planOf(stack);
  const main = resources.find(({ type, name }) => type === 'pulumi:providers:aws' && MAIN.includes(name))!;
  const [account] = JSON.parse(String(main.inputs.allowedAccountIds)) as [string];
  return { account, region: String(main.inputs.region), resources };
}

/** Names of the providers for the account of a stack itself. */
const MAIN: readonly string[] = ['site', 'platform', 'management'];
