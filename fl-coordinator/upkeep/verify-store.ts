import { createHash } from 'node:crypto';
import { ClaraError, hasCode } from '../../base/errors';
import { ModelRegistry } from '../registry/model-registry';
import type { RegisteredModel } from '../registry/registry-state';
import { acceptedUpdates } from '../runs/going';
import { loadRun } from '../runs/journal';
import {
  controlsKey,
  decodedModelKey,
  modelKey,
  momentsPrefix,
  sentUpdateKey,
  updateKey,
  uploadedModelKey,
  wireModelKey,
} from '../runs/object-names';
import { isNeeded, runObjectOf } from '../runs/run-objects';
import { runsIn } from '../runs/run-register';
import type { RunState } from '../runs/run-state';
import { checkSubmissions } from '../runs/submissions';
import type { ObjectStore } from '../storage/object-store';
import { SiteRegister } from '../trust/site-register';

/** What a look at one part of a store found. */
export type Finding =
  | { readonly kind: 'journal'; readonly of: string; readonly events: number }
  | { readonly kind: 'object'; readonly key: string; readonly bytes: number }
  /** An update that no round needs any more and that is not there: the retention rule has deleted it. */
  | { readonly kind: 'deleted'; readonly key: string }
  | { readonly kind: 'broken'; readonly what: string; readonly problem: string };

/**
 * Reads a whole store and says of each journal whether it can be replayed, and of each object that the journals name whether
 * its bytes are those of its digest. Writes nothing; a coordinator may work on the store meanwhile.
 *
 * @throws ClaraError when the store itself cannot be read: `unavailable`, `permission-denied`
 */
export async function* verifyStore(store: ObjectStore, signal?: AbortSignal): AsyncGenerator<Finding> {
  yield await journalOf('sites and operators', async () => (await SiteRegister.open(store)).events);
  yield await journalOf('submissions', () => checkSubmissions(store));
  let registered: readonly RegisteredModel[] = [];
  const found = await journalOf('registered models', async () => {
    const registry = await ModelRegistry.open(store);
    registered = registry.all();
    return registry.state.seq;
  });
  // Nobody has to register anything.
  if (found.kind !== 'journal' || found.events > 0) yield found;
  yield* registeredObjects(store, registered, signal);
  for (const run of await runsIn(store)) {
    let state: RunState | undefined;
    yield await journalOf(`run ${run}`, async () => {
      state = await loadRun(store, run);
      if (!state) throw new ClaraError('corrupt', `run ${run} has objects and no journal`);
      return state.seq;
    });
    if (state) yield* objectsOf(store, state, signal);
  }
}

async function journalOf(what: string, replay: () => Promise<number>): Promise<Finding> {
  try {
    return { kind: 'journal', of: what, events: await replay() };
  } catch (error) {
    if (!hasCode(error, 'corrupt', 'not-found', 'resource-exhausted')) throw error;
    return { kind: 'broken', what: `the journal of ${what}`, problem: error.message };
  }
}

/** Each model once, however many versions have it. */
async function* registeredObjects(
  store: ObjectStore,
  registered: readonly RegisteredModel[],
  signal?: AbortSignal,
): AsyncGenerator<Finding> {
  for (const [digest, { card }] of new Map(registered.map((one) => [one.card.digest, one]))) {
    const key = uploadedModelKey(digest.slice('sha256:'.length));
    yield await objectAt(store, { key, digest, bytes: card.bytes }, signal);
  }
}

async function* objectsOf(store: ObjectStore, state: RunState, signal?: AbortSignal): AsyncGenerator<Finding> {
  for (const { round, digest, bytes, controls, wire } of state.models) {
    yield await objectAt(store, { key: modelKey(state.run, round), digest, bytes }, signal);
    if (controls)
      yield await passingObjectAt(store, state, { key: controlsKey(state.run, round), ...controls }, signal);
    if (!wire) continue;
    yield await passingObjectAt(store, state, { key: wireModelKey(state.run, round), ...wire }, signal);
    yield await passingObjectAt(store, state, { key: decodedModelKey(state.run, round), ...wire.decoded }, signal);
  }
  for (const { stage, site, result } of acceptedUpdates(state)) {
    const { digest, bytes, sent } = result;
    yield await passingObjectAt(store, state, { key: updateKey(state.run, stage, site), digest, bytes }, signal);
    if (sent)
      yield await passingObjectAt(store, state, { key: sentUpdateKey(state.run, stage, site), ...sent }, signal);
  }
  const newest = state.models.length - 1;
  const keepsMoments = state.plan.strategy.serverOptimiser.kind !== 'replace' && newest > 0;
  if (keepsMoments && isNeeded(state, { kind: 'server-state', round: newest })) {
    const prefix = momentsPrefix(state.run, newest);
    let found = 0;
    for await (const _ of store.list(`${prefix}/`)) found++;
    if (found === 0) yield { kind: 'broken', what: prefix, problem: 'the moments of the server optimiser are missing' };
  }
}

const MISSING = 'it is missing';

interface ExpectedBytes {
  readonly key: string;
  readonly digest: string;
  readonly bytes: number;
}

/** As {@link objectAt}, of what the retention rule deletes in time. */
async function passingObjectAt(
  store: ObjectStore,
  state: RunState,
  expected: ExpectedBytes,
  signal?: AbortSignal,
): Promise<Finding> {
  const finding = await objectAt(store, expected, signal);
  const isMissing = finding.kind === 'broken' && finding.problem === MISSING;
  const { key } = expected;
  return isMissing && !(await isNeededNow(store, state, key)) ? { kind: 'deleted', key } : finding;
}

async function objectAt(store: ObjectStore, expected: ExpectedBytes, signal?: AbortSignal): Promise<Finding> {
  const { key, digest, bytes } = expected;
  const broken = (problem: string): Finding => ({ kind: 'broken', what: key, problem });
  try {
    const object = await store.get(key, { signal });
    const hash = createHash('sha256');
    for await (const piece of object.bytes) hash.update(piece);
    if (object.size !== bytes) return broken(`it has ${object.size} bytes; the journal says ${bytes}`);
    const found = `sha256:${hash.digest('hex')}`;
    return found === digest
      ? { kind: 'object', key, bytes }
      : broken(`its digest is ${found}; the journal says ${digest}`);
  } catch (error) {
    if (hasCode(error, 'not-found')) return broken(MISSING);
    if (hasCode(error, 'corrupt')) return broken(error.message);
    throw error;
  }
}

/** The run may have gone on since its journal was read, and the update may have become superfluous. */
async function isNeededNow(store: ObjectStore, state: RunState, key: string): Promise<boolean> {
  const object = runObjectOf(state.run, key)!;
  if (!isNeeded(state, object)) return false;
  const now = await loadRun(store, state.run);
  return now !== undefined && isNeeded(now, object);
}
