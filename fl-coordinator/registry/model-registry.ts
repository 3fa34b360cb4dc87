import { ClaraError, hasCode, showValue } from '../../base/errors';
import { type ModelStage, showVersion } from '../../federation/model-name';
import type { RegisteredCard } from '../../federation/registered-model';
import { JournaledState, type JournalRules, type JournalTerm } from '../storage/journaled-state';
import type { ObjectStore } from '../storage/object-store';
import {
  EMPTY_REGISTRY,
  goesForward,
  MAX_REASON,
  type NewRegistryEvent,
  type Promotion,
  promotionAt,
  type RegisteredModel,
  type RegistryEvent,
  type RegistryState,
  reduceRegistry,
  registryEventSchema,
  type SiteState,
  versionBefore,
} from './registry-state';

const RULES: JournalRules<RegistryState, RegistryEvent> = {
  // A card holds a whole plan.
  place: { prefix: 'federation/models/', what: 'the registry of models', maxEventBytes: 8 << 20 },
  initial: EMPTY_REGISTRY,
  schema: registryEventSchema,
  reduce: reduceRegistry,
};

/** Where the card of a version lies, for people and for other programs. */
export const cardKey = (model: string, version: number): string => `models/${model}/${version}/card.json`;

export interface ToldPromotion {
  readonly promotion: number;
  readonly site: string;
  readonly state: Exclude<SiteState, 'announced'>;
  readonly serving: string;
  readonly reason: string;
}

/**
 * The registry of models. Its journal, `federation/models/000000000001.json`, is the truth, written and replayed as the
 * register of sites is; a version's card is also written beside it as an object that nobody ever writes again.
 */
export class ModelRegistry {
  /** The newest card, until it is known to lie at its own place. Each card before it was settled before it was written. */
  #unsettled: RegisteredCard | undefined;
  #journal!: JournaledState<RegistryState, RegistryEvent, NewRegistryEvent>;

  private constructor(
    private readonly store: ObjectStore,
    private readonly now: () => Date,
  ) {}

  /** Replays the journal. @throws ClaraError `corrupt`, naming the first event that is missing or damaged */
  static async open(store: ObjectStore, now = () => new Date(), term?: JournalTerm): Promise<ModelRegistry> {
    const registry = new ModelRegistry(store, now);
    registry.#journal = await JournaledState.open(RULES, {
      ...{ store, now, term },
      onEvent: (event) => {
        if (event.type === 'model-registered') registry.#unsettled = event.card;
      },
    });
    return registry;
  }

  get state(): RegistryState {
    return this.#journal.state;
  }

  /** Writes the card that a crash has left unwritten. To be called by the leader only. */
  async settle(): Promise<void> {
    const card = this.#unsettled;
    if (!card) return;
    try {
      await this.store.putIfAbsent(cardKey(card.model, card.version), bytesOf(card));
    } catch (error) {
      // There already: the key names one version, and the journal has fixed what it is.
      if (!hasCode(error, 'precondition-failed', 'already-exists')) throw error;
    }
    if (this.#unsettled === card) this.#unsettled = undefined;
  }

  /** In order of name, then version. */
  all(): RegisteredModel[] {
    return [...this.state.models].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, versions]) => versions);
  }

  /** @param version absent: the newest. @throws ClaraError `not-found` */
  get(model: string, version?: number): RegisteredModel {
    const versions = this.state.models.get(model);
    if (!versions) {
      throw new ClaraError('not-found', `no model ${showValue(model)} is registered; "clara-fed model list" shows all`);
    }
    const found = version === undefined ? versions.at(-1) : versions[version - 1];
    if (found) return found;
    throw new ClaraError('not-found', `${model} has versions 1 to ${versions.length}, not ${version}`);
  }

  /** The same model of the same run answers the version that it has. @param card of the version that it would become */
  async register(model: string, card: (version: number, at: string) => RegisteredCard): Promise<RegisteredModel> {
    let number = 0;
    await this.#append(({ models }) => {
      const versions = models.get(model) ?? [];
      const wanted = card(versions.length + 1, this.now().toISOString());
      const same = versions.find(({ card: { run, round } }) => run === wanted.run && round === wanted.round);
      if (same && (same.card.description !== wanted.description || same.card.licence !== wanted.licence)) {
        throw new ClaraError(
          'already-exists',
          `round ${wanted.round} of ${wanted.run} is registered as ${showVersion(same.card)} with another description or licence; a version never changes`,
        );
      }
      number = same?.card.version ?? wanted.version;
      return same ? undefined : { type: 'model-registered', card: wanted };
    });
    return this.get(model, number);
  }

  async setStage(model: string, version: number, stage: ModelStage, operator: string): Promise<RegisteredModel> {
    await this.#append(() => {
      const before = this.get(model, version);
      return before.stage === stage ? undefined : { type: 'stage-set', model, version, stage, operator };
    });
    return this.get(model, version);
  }

  /** @returns false when these sites have it already, or are about to */
  async promote(model: string, version: number, sites: readonly string[], operator: string): Promise<boolean> {
    return this.#append((state) => {
      this.#requireServable(model, version);
      const known = state.sites.get(model);
      const asked = sites.filter((site) => {
        const one = known?.get(site);
        return one?.promotion.version !== version || one.state === 'refused' || one.state === 'failed';
      });
      if (asked.length === 0) return undefined;
      return { type: 'model-promoted', model, version, sites: [...sites], asked, rollback: false, operator };
    });
  }

  /** Promotes what was promoted before, once: after a rollback another one changes nothing. */
  async rollBack(model: string, operator: string): Promise<Promotion> {
    await this.#append((state) => {
      const newest = this.get(model) && state.promotions.get(model)?.at(-1);
      if (newest?.rollback) return undefined;
      const before = versionBefore(state, model);
      if (!newest || !before) {
        throw new ClaraError(
          'precondition-failed',
          `${model} has ${newest ? 'been promoted in one version only' : 'never been promoted'}; there is nothing to go back to`,
        );
      }
      const { version } = before;
      this.#requireServable(model, version);
      return { type: 'model-promoted', model, version, sites: [...newest.sites], rollback: true, operator };
    });
    return this.state.promotions.get(model)!.at(-1)!;
  }

  #requireServable(model: string, version: number): void {
    const { stage, card } = this.get(model, version);
    if (stage === 'retired') {
      throw new ClaraError(
        'precondition-failed',
        `${showVersion(card)} is retired; set another stage before it is promoted`,
      );
    }
    // Its bytes have the statistics of the first weights: those of training never left the sites.
    if (card.plan.normalisationStatistics === 'keep-local') {
      throw new ClaraError(
        'precondition-failed',
        `${showVersion(card)} cannot be promoted: its plan says "normalisationStatistics: keep-local", so its running statistics are the initial ones and it is not ready for annotation servers; train it with "average" or "first" and register that model`,
      );
    }
  }

  /** What a site says of a promotion. What comes too late, or twice, is left out. */
  async told({ promotion, site, state, serving, reason }: ToldPromotion): Promise<boolean> {
    return this.#append((before) => {
      const one = promotionAt(before, site, promotion);
      if (!one || !goesForward(one.state, state)) return undefined;
      const words = { serving: serving.slice(0, 200), reason: reason.slice(0, MAX_REASON) };
      return { type: 'promotion-told', promotion, site, state, ...words };
    });
  }

  async #append(decide: (state: RegistryState) => NewRegistryEvent | undefined): Promise<boolean> {
    const written = await this.#journal.append(async (state) => {
      await this.settle();
      return decide(state);
    });
    await this.settle();
    return written;
  }
}

function bytesOf(card: RegisteredCard): Buffer {
  return Buffer.from(`${JSON.stringify(card, undefined, 2)}\n`);
}
