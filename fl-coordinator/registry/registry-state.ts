import { z } from 'zod';
import { siteIdSchema } from '../../federation/cohort';
import { MODEL_STAGES, type ModelStage, modelNameSchema, modelVersionSchema } from '../../federation/model-name';
import { type RegisteredCard, registeredCardSchema } from '../../federation/registered-model';

/** Which models are registered, what they are for and where they are served, as a pure function of the registry's events. */

const version = { model: modelNameSchema, version: modelVersionSchema };
const operator = z.string().max(200);
export const MAX_REASON = 2000;
const envelope = {
  v: z.literal(1),
  seq: z.number().int().min(1),
  at: z.iso.datetime(),
  /** The term of the leader that wrote it. */
  epoch: z.number().int().min(0).default(0),
};

/** How far a site is with what was promoted to it. It only goes forward, so a site cannot fill the journal. */
export const SITE_STATES = ['announced', 'waiting', 'downloaded', 'serving', 'refused', 'failed'] as const;
export type SiteState = (typeof SITE_STATES)[number];
const ORDER: Readonly<Record<SiteState, number>> = {
  announced: 0,
  waiting: 1,
  downloaded: 2,
  serving: 3,
  refused: 3,
  failed: 3,
};

export const registryEventSchema = z.discriminatedUnion('type', [
  z.object({ ...envelope, type: z.literal('model-registered'), card: registeredCardSchema }),
  z.object({ ...envelope, type: z.literal('stage-set'), ...version, stage: z.enum(MODEL_STAGES), operator }),
  /** The event's number names the promotion. */
  z.object({
    ...envelope,
    type: z.literal('model-promoted'),
    ...version,
    sites: z.array(siteIdSchema).min(1).max(1000),
    /** Those of them that have to answer anew; the others have this version, or are about to. Absent: all. */
    asked: z.array(siteIdSchema).min(1).max(1000).optional(),
    rollback: z.boolean(),
    operator,
  }),
  z.object({
    ...envelope,
    type: z.literal('promotion-told'),
    promotion: z.number().int().min(1),
    site: siteIdSchema,
    state: z.enum(SITE_STATES).exclude(['announced']),
    serving: z.string().max(200),
    reason: z.string().max(MAX_REASON),
  }),
  /** Another coordinator leads from here on: no event of an earlier epoch can follow. */
  z.object({ ...envelope, type: z.literal('leader-changed'), address: z.string().max(300) }),
]);

export type RegistryEvent = z.output<typeof registryEventSchema>;
type WithoutEnvelope<E> = E extends RegistryEvent ? Omit<E, keyof typeof envelope> : never;
export type NewRegistryEvent = WithoutEnvelope<RegistryEvent>;

export interface RegisteredModel {
  readonly card: RegisteredCard;
  readonly stage: ModelStage;
}

export interface Promotion {
  /** Its event's number. */
  readonly id: number;
  readonly model: string;
  readonly version: number;
  readonly sites: readonly string[];
  readonly rollback: boolean;
  readonly at: string;
}

export interface SitePromotion {
  readonly site: string;
  readonly promotion: Promotion;
  readonly state: SiteState;
  /** What the site's annotation server was last said to serve; also from before this promotion. */
  readonly serving: string;
  readonly reason: string;
  readonly changedAt: string;
}

export interface RegistryState {
  readonly seq: number;
  /** By name; version n lies at n - 1. */
  readonly models: ReadonlyMap<string, readonly RegisteredModel[]>;
  /** By name, in order. */
  readonly promotions: ReadonlyMap<string, readonly Promotion[]>;
  /** By name and site: of what was promoted to the site last. */
  readonly sites: ReadonlyMap<string, ReadonlyMap<string, SitePromotion>>;
}

export const EMPTY_REGISTRY: RegistryState = { seq: 0, models: new Map(), promotions: new Map(), sites: new Map() };

export function reduceRegistry(state: RegistryState, event: RegistryEvent): RegistryState {
  return { ...apply(state, event), seq: event.seq };
}

function apply(state: RegistryState, event: RegistryEvent): RegistryState {
  switch (event.type) {
    case 'model-registered': {
      const { card } = event;
      const before = state.models.get(card.model) ?? [];
      if (card.version !== before.length + 1) {
        throw new Error(`version ${card.version} of ${card.model} cannot follow ${before.length}`);
      }
      const all: readonly RegisteredModel[] = [...before, { card, stage: 'candidate' }];
      return { ...state, models: new Map(state.models).set(card.model, all) };
    }
    case 'stage-set': {
      const before = state.models.get(event.model) ?? [];
      const after = before.map((one) => (one.card.version === event.version ? { ...one, stage: event.stage } : one));
      return { ...state, models: new Map(state.models).set(event.model, after) };
    }
    case 'model-promoted':
      return promoted(state, event);
    case 'promotion-told': {
      const told = promotionAt(state, event.site, event.promotion);
      if (!told) return state;
      const { serving, reason, at: changedAt } = event;
      return withSite(state, { ...told, state: event.state, serving: serving || told.serving, reason, changedAt });
    }
    case 'leader-changed':
      return state;
  }
}

function promoted(state: RegistryState, event: Extract<RegistryEvent, { type: 'model-promoted' }>): RegistryState {
  const { seq: id, model, version, sites, rollback, at } = event;
  const promotion: Promotion = { id, model, version, sites, rollback, at };
  let next: RegistryState = {
    ...state,
    promotions: new Map(state.promotions).set(model, [...(state.promotions.get(model) ?? []), promotion]),
  };
  for (const site of event.asked ?? sites) {
    const serving = state.sites.get(model)?.get(site)?.serving ?? '';
    next = withSite(next, { site, promotion, state: 'announced', serving, reason: '', changedAt: at });
  }
  return next;
}

function withSite(state: RegistryState, one: SitePromotion): RegistryState {
  const { model } = one.promotion;
  const sites = new Map(state.sites.get(model)).set(one.site, one);
  return { ...state, sites: new Map(state.sites).set(model, sites) };
}

/** What the site was told of by this promotion, unless a later one has taken its place. */
export function promotionAt(state: RegistryState, site: string, id: number): SitePromotion | undefined {
  for (const sites of state.sites.values()) {
    const one = sites.get(site);
    if (one?.promotion.id === id) return one;
  }
  return undefined;
}

/** True when a site may tell this of a promotion after what it has told. */
export function goesForward(before: SiteState, after: SiteState): boolean {
  return ORDER[after] > ORDER[before];
}

/** What the site was promoted and has neither taken nor refused. A version that was retired since is not to be taken any more. */
export function openPromotions(state: RegistryState, site: string): SitePromotion[] {
  return [...state.sites.values()].flatMap((sites) => {
    const one = sites.get(site);
    return one && ORDER[one.state] < ORDER.serving && !isRetired(state, one.promotion) ? [one] : [];
  });
}

function isRetired({ models }: RegistryState, { model, version }: Promotion): boolean {
  return models.get(model)?.[version - 1]?.stage === 'retired';
}

/** The version that was promoted before the present one; none when there is only one. */
export function versionBefore(state: RegistryState, model: string): Promotion | undefined {
  const all = state.promotions.get(model) ?? [];
  return all.findLast(({ version }) => version !== all.at(-1)!.version);
}
