import { ClaraError } from '../../base/errors';
import { deriveSeed } from '../../base/random';
import { isAsItIs } from '../../federation/encodings/encoding';
import type { Plan } from '../../federation/plan';
import { firstTensors, isKeptBy, keptTensors } from '../../federation/sent-tensors';
import { type AggregateRequest, aggregate } from '../aggregation/aggregate';
import { aggregateWithControls } from '../aggregation/controls';
import { makeWireModel, type WireModel } from '../encodings/wire-model';
import type { ObjectStore } from '../storage/object-store';
import { approvedSites } from './cohorts';
import { copyObject } from './copy-object';
import { requireKept } from './kept-tensors';
import { decodedModelKey, modelKey, wireModelKey } from './object-names';
import type { PendingModel } from './pending-model';
import type { RunState } from './run-state';

export interface MakeModelRequest {
  readonly store: ObjectStore;
  readonly state: RunState;
  readonly work: PendingModel;
  readonly signal: AbortSignal;
  /** Before the first model of a run is kept. @throws ClaraError `out-of-space` */
  readonly checkRoom?: (plan: Plan, sites: number, modelBytes: number) => Promise<void>;
  /** Another run, for a model that is taken over from it. */
  readonly stateOf: (run: string) => RunState;
}

export interface MadeModel {
  readonly digest: string;
  readonly bytes: number;
  readonly controls?: { readonly digest: string; readonly bytes: number };
  /** How sites get it, when the plan encodes models. */
  readonly wire?: WireModel;
}

/** Makes a model durable under its target key; doing it again after a crash gives the same bytes. */
export async function makeModel(request: MakeModelRequest): Promise<MadeModel> {
  const made = await makeExactModel(request);
  const { store, state, work, signal } = request;
  const { run, plan } = state;
  const encoding = plan.wire.down;
  if (isAsItIs(encoding)) return made;
  const wire = await makeWireModel({
    store,
    model: work.target,
    encoded: wireModelKey(run, work.round),
    decoded: decodedModelKey(run, work.round),
    encoding,
    isKept: isKeptBy(plan),
    seed: deriveSeed(plan.seed, 'wire', work.round),
    signal,
  });
  return { ...made, wire };
}

async function makeExactModel(request: MakeModelRequest): Promise<MadeModel> {
  const { store, state, work, signal } = request;
  if (work.kind === 'copy') {
    const from = sourceKey(request, work);
    await request.checkRoom?.(state.plan, approvedSites(state).length, (await store.head(from)).size);
    if (work.keeps) await requireKept(store, from, work.keeps, signal);
    return copyObject(store, { ...work, from }, signal);
  }
  const { plan } = state;
  const round: AggregateRequest = {
    store,
    base: work.base,
    contributions: work.updates,
    strategy: plan.strategy,
    excluded: keptTensors(plan),
    first: firstTensors(plan),
    target: work.target,
    momentsBefore: work.momentsBefore,
    momentsAfter: work.momentsAfter,
    signal,
  };
  return work.controls ? aggregateWithControls(round, work.controls) : aggregate(round);
}

function sourceKey({ stateOf }: MakeModelRequest, work: PendingModel & { kind: 'copy' }): string {
  if ('key' in work.source) return work.source.key;
  const { run } = work.source;
  const last = stateOf(run).models.at(-1);
  if (!last) throw new ClaraError('not-found', `run ${run} has no model to start from`);
  return modelKey(run, last.round);
}
