import type { FleetVerb } from './stacks-port';

/** The stacks of an environment that a call is about. */
export interface FleetSelection {
  /** The organisation's stack, when it is part of this. */
  readonly organization?: string;
  /** The stack of the environment's coordinator, when it is part of this. */
  readonly coordinator?: string;
  /** Stacks of sites; the first one is the canary. */
  readonly sites: readonly string[];
}

/** Stacks that may be worked on at the same time; a step begins when the one before is done. */
export type FleetStep = readonly string[];

/**
 * Accounts before what lies in them, the coordinator before those that dial it, and one site alone before the others, so that
 * a mistake stops at the first hospital. Destroying goes the other way: sites first, and the canary is again the one that
 * shows what would happen to all. The organisation is shared by the environments and is never destroyed here.
 */
export function fleetSteps(verb: FleetVerb, { organization, coordinator, sites }: FleetSelection): FleetStep[] {
  const [canary, ...others] = sites;
  const siteSteps = verb === 'preview' ? [sites] : [canary === undefined ? [] : [canary], others];
  const one = (stack: string | undefined): FleetStep => (stack === undefined ? [] : [stack]);
  const steps =
    verb === 'destroy' ? [...siteSteps, one(coordinator)] : [one(organization), one(coordinator), ...siteSteps];
  return steps.filter((step) => step.length > 0);
}
