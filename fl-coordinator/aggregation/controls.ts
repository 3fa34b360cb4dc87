import { CONTROL_PREFIX, controlsOf, isControl } from '../../federation/controls';
import { encodeHeader, parseHeader } from '../../federation/tensors/header';
import type { ObjectStore } from '../storage/object-store';
import { type AggregatedModel, type AggregateRequest, aggregate, combineStored } from './aggregate';
import type { Combination } from './combination';
import { type Contribution, inSiteOrder } from './contribution';
import { readStoredLayout } from './stored-layout';

export interface ControlsRequest {
  readonly store: ObjectStore;
  /** A model of the run: its floating-point tensors are those of a control variate. */
  readonly base: string;
  /** The newest update of each site that has ever sent one, with its control in it. */
  readonly sources: readonly Contribution[];
  /** Sites of the run, those included that have sent nothing yet: their control is zero. */
  readonly sites: number;
  readonly target: string;
  readonly signal: AbortSignal;
}

/**
 * The server's control variate: the mean of the sites' (Karimireddy 2020, algorithm 1), each weighing as its update does in the
 * model. The paper adds what changed at the sites that took part; the mean over the newest control of each site is the same sum,
 * and stays right when an update is lost on the way.
 */
export async function aggregateControls(request: ControlsRequest): Promise<AggregatedModel> {
  const { store, base, sites } = request;
  const contributions = inSiteOrder(request.sources);
  const model = await readStoredLayout(store, base);
  const weights = contributions.map(({ weight }) => weight);
  const heard = weights.reduce((sum, weight) => sum + weight, 0);
  const combination: Combination = {
    kind: 'mean',
    contributors: [...weights.keys()],
    weights,
    modelWeight: 0,
    total: (heard * Math.max(sites, weights.length)) / weights.length,
  };
  return combineStored({
    ...request,
    base: undefined,
    contributions,
    layout: parseHeader(encodeHeader(controlsOf(model, CONTROL_PREFIX))),
    header: encodeHeader(controlsOf(model)),
    isKept: (name) => !isControl(name),
    strategy: { combiner: { kind: 'weighted-mean' }, serverOptimiser: { kind: 'replace' } },
    combination,
  });
}

/** Model and controls of one round. The controls are durable first: from a model without them nobody could go on. */
export async function aggregateWithControls(
  request: AggregateRequest,
  controls: Pick<ControlsRequest, 'sources' | 'sites' | 'target'>,
): Promise<AggregatedModel & { readonly controls: AggregatedModel }> {
  const { store, base, signal } = request;
  const made = await aggregateControls({ store, base, signal, ...controls });
  return { ...(await aggregate(request)), controls: made };
}
