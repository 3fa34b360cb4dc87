import { create } from '@bufbuild/protobuf';
import { ClaraError, type Fault, hasCode, showValue } from '../../base/errors';
import {
  type ModelView,
  ModelViewSchema,
  type Operations,
  type RegisterModelRequest,
} from '../../federation/gen/federation/v1/federation_pb';
import type { OperatorIdentity } from '../../federation/identity';
import { MODEL_STAGES, modelNameSchema } from '../../federation/model-name';
import { MAX_DESCRIPTION, MAX_LICENCE } from '../../federation/registered-model';
import type { ServiceHandlers } from '../../federation/service-handlers';
import { cardOf } from '../registry/card';
import { lineageOf, parentsOf } from '../registry/lineage';
import type { ModelRegistry } from '../registry/model-registry';
import { siteViews, versionView } from '../registry/registry-view';
import { copyObject } from '../runs/copy-object';
import { modelKey, uploadedModelKey } from '../runs/object-names';
import type { RunRegister } from '../runs/run-register';
import type { PublishedModel, RunState } from '../runs/run-state';
import type { ObjectStore } from '../storage/object-store';

export interface ModelOperationsOptions {
  readonly runs: Pick<RunRegister, 'has' | 'get'>;
  readonly store: ObjectStore;
  readonly registry: ModelRegistry;
  readonly enrolledSites: () => readonly string[];
  /** Sites may have a promotion to be told of. */
  readonly onPromoted: (sites: readonly string[]) => void;
}

type Handlers = ServiceHandlers<typeof Operations, OperatorIdentity>;

/** What an operator calls about registered models. */
export function modelOperations(
  options: ModelOperationsOptions,
): Pick<Handlers, 'registerModel' | 'listModels' | 'showModel' | 'setModelStage' | 'promoteModel' | 'rollbackModel'> {
  const { runs, store, registry } = options;
  const stateOf = (run: string): RunState | undefined => (runs.has(run) ? runs.get(run).state : undefined);

  const viewOf = (model: string, version?: number): ModelView => {
    const found = registry.get(model, version);
    return create(ModelViewSchema, {
      version: versionView(registry.state, found),
      lineage: lineageOf(found.card, registry.state, stateOf),
      sites: siteViews(registry.state, model),
    });
  };

  return {
    async registerModel(request, { caller }) {
      checkRegistration(request);
      const { state } = runs.get(request.run);
      const published = publishedModel(state, request.round);
      await keepModel(store, state.run, published);
      const { model, description, licence } = request;
      const parents = parentsOf(state, stateOf);
      const registered = await registry.register(model, (version, registeredAt) =>
        cardOf(state, published, parents, {
          model,
          version,
          description,
          licence,
          operator: caller.name,
          registeredAt,
        }),
      );
      return versionView(registry.state, registered);
    },

    async listModels() {
      return { versions: registry.all().map((one) => versionView(registry.state, one)) };
    },

    async showModel({ model, version }) {
      return viewOf(model, version);
    },

    async setModelStage({ model, version, stage }, { caller }) {
      const known = MODEL_STAGES.find((one) => one === stage);
      if (!known) {
        throw new ClaraError(
          'invalid-input',
          `the stage ${showValue(stage)} must be one of ${MODEL_STAGES.join(', ')}`,
        );
      }
      const changed = await registry.setStage(model, version, known, caller.name);
      // What was promoted before it was retired is open again.
      if (known !== 'retired') options.onPromoted([...(registry.state.sites.get(model)?.keys() ?? [])]);
      return versionView(registry.state, changed);
    },

    async promoteModel({ model, version, sites }, { caller }) {
      const enrolled = options.enrolledSites();
      const asked = [...new Set(sites.length > 0 ? sites : enrolled)].sort();
      const faults: Fault[] = asked
        .filter((site) => !enrolled.includes(site))
        .map((value) => ({ path: 'sites', value, rule: 'is not an enrolled site; invite it, or correct the name' }));
      if (asked.length === 0) faults.push({ path: 'sites', rule: 'no site is enrolled; invite one first' });
      if (faults.length > 0) throw ClaraError.ofFaults('the promotion', faults);
      if (await registry.promote(model, version, asked, caller.name)) options.onPromoted(asked);
      return viewOf(model, version);
    },

    async rollbackModel({ model }, { caller }) {
      const { version, sites } = await registry.rollBack(model, caller.name);
      options.onPromoted(sites);
      return viewOf(model, version);
    },
  };
}

function checkRegistration({ model, description, licence }: RegisterModelRequest): void {
  const faults: Fault[] = [];
  const name = modelNameSchema.safeParse(model);
  if (!name.success) faults.push({ path: 'name', value: showValue(model), rule: name.error.issues[0]!.message });
  const texts = [
    ['description', description, MAX_DESCRIPTION],
    ['licence', licence, MAX_LICENCE],
  ] as const;
  for (const [path, text, limit] of texts) {
    if (text.length > limit) faults.push({ path, rule: `has ${text.length} characters; at most ${limit} are kept` });
  }
  if (faults.length > 0) throw ClaraError.ofFaults('the registration', faults);
}

/** @param round absent: the newest. @throws ClaraError `not-found` */
export function publishedModel({ run, models }: RunState, round?: number): PublishedModel {
  const model = round === undefined ? models.at(-1) : models[round];
  if (model) return model;
  const there = models.length === 0 ? 'no model yet' : `models of rounds 0 to ${models.length - 1}`;
  throw new ClaraError('not-found', `run ${run} has ${there}${round === undefined ? '' : `, not of round ${round}`}`);
}

/** The one copy under the model's digest: whatever becomes of its run, and however many versions and plans name it. */
async function keepModel(store: ObjectStore, run: string, { round, digest, bytes }: PublishedModel): Promise<void> {
  const target = uploadedModelKey(digest.slice('sha256:'.length));
  try {
    if ((await store.head(target)).size === bytes) return;
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
  }
  await copyObject(store, { from: modelKey(run, round), target, digest });
}
