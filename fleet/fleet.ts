import path from 'node:path';
import { ClaraError, type Fault, showValue } from '../base/errors';
import { conductFleet, type FleetConduct, type StackResult } from './conduct';
import { lockEnvironment } from './fleet-lock';
import { FleetRecord } from './fleet-record';
import { type FleetSelection, fleetSteps } from './order';
import { ORGANIZATION_STACK, type ProjectFolder } from './project';
import type { FleetVerb, StacksPort } from './stacks-port';

/** Where records of unfinished tasks are kept, in the project's folder. */
const RECORDS = '.clara-fed/fleet';

export interface FleetRequest {
  readonly verb: FleetVerb;
  readonly environment: string;
  /** Ids of sites, or all of the environment together with its coordinator and the organisation. */
  readonly sites: readonly string[] | 'all';
  /** The site that is worked on alone before the others. @default the first */
  readonly canary?: string;
  readonly parallel: number;
  /** Forgets what an unfinished call with this task has done. */
  readonly restart?: boolean;
}

export interface FleetSurroundings extends Pick<FleetConduct, 'signal' | 'onBegin' | 'onEnd'> {
  readonly project: ProjectFolder;
  readonly stacks: StacksPort;
}

/**
 * Carries a verb out for an environment.
 * @returns one result for each stack, in order
 * @throws ClaraError `invalid-input` naming every site that is not in the catalogue or has no stack file
 * @throws ClaraError `precondition-failed` while somebody else works on the environment; a preview changes nothing and may always
 */
export async function runFleet(request: FleetRequest, surroundings: FleetSurroundings): Promise<StackResult[]> {
  const { project, ...rest } = surroundings;
  const { verb, environment, parallel } = request;
  const steps = fleetSteps(verb, selectionOf(request, project));
  const conduct = { ...rest, verb, steps, parallel, digestOf: (stack: string) => project.digest(stack) };
  if (verb === 'preview') return conductFleet(conduct);
  const folder = path.join(project.folder, RECORDS);
  const unlock = await lockEnvironment(folder, environment, verb);
  try {
    const record = await FleetRecord.open(folder, { verb, environment, stacks: steps.flat() });
    if (request.restart) await record.forget();
    return await conductFleet({ ...conduct, record });
  } finally {
    await unlock();
  }
}

function selectionOf(request: FleetRequest, project: ProjectFolder): FleetSelection {
  const { environment, sites, canary } = request;
  const catalogue = project.siteIds(environment);
  const wanted = sites === 'all' ? catalogue : sites;
  const faults: Fault[] = [];
  const fault = (id: string, rule: string) => faults.push({ path: '--sites', value: showValue(id), rule });
  for (const [i, id] of wanted.entries()) {
    if (wanted.indexOf(id) !== i) fault(id, 'is named twice');
    else if (!catalogue.includes(id)) fault(id, `is not in the catalogue of ${environment}: ${catalogue.join(', ')}`);
    else if (!project.hasStack(`${environment}-${id}`)) {
      fault(id, `has no file Pulumi.${environment}-${id}.yaml; \`clara-fed site add\` writes it`);
    }
  }
  if (canary !== undefined && !wanted.includes(canary)) {
    faults.push({ path: '--canary', value: showValue(canary), rule: `must be one of the sites: ${wanted.join(', ')}` });
  }
  if (faults.length > 0) throw ClaraError.ofFaults(`the fleet of ${environment}`, faults);
  const ordered = canary === undefined ? wanted : [canary, ...wanted.filter((id) => id !== canary)];
  const stacks = ordered.map((id) => `${environment}-${id}`);
  if (sites !== 'all') return { sites: stacks };
  const organization = project.hasStack(ORGANIZATION_STACK) ? ORGANIZATION_STACK : undefined;
  return { organization, coordinator: environment, sites: stacks };
}
