import { z } from 'zod';
import { siteIdSchema } from '../../federation/cohort';
import { planSchema } from '../../federation/plan';
import { siteStatisticsSchema } from '../../federation/statistics';
import { metricsSchema } from '../../federation/trainer-contract';
import { stageSchema } from './stage';

/**
 * What can happen to a run. Events are immutable facts, one JSON object each, and the only truth: the state of a run is a
 * function of them. A journal of an older release must stay readable: only add kinds, and only add fields with a default.
 */
export const EVENT_VERSION = 1;

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const site = siteIdSchema;
/** Of a reason in an event; longer ones are cut before they become one. */
export const MAX_REASON = 2000;
const reason = z.string().max(MAX_REASON);
const bytes = z.number().int().min(0);

const object = z.object({ digest, bytes });

const bodies = {
  'run-submitted': {
    plan: planSchema,
    cohort: z.array(site).min(1),
    operator: z.string(),
    submitToken: z.string(),
    /** The model that the plan starts from, as it was found; absent when a trainer makes it, and in older journals. */
    start: z.object({ key: z.string().max(900), digest, bytes, round: z.number().int().min(0).optional() }).optional(),
  },
  'site-approved': { site },
  'site-refused': { site, reason },
  'stage-opened': {
    stage: stageSchema,
    cohort: z.array(site),
    deadline: z.iso.datetime(),
    /** With which the cohort was drawn. */
    seed: z.number().int().min(0).optional(),
    /** Of a cyclic round: the sites in the order in which the weights travel. */
    order: z.array(site).optional(),
  },
  'update-accepted': {
    stage: stageSchema,
    site,
    digest,
    bytes,
    samples: z.number().int().min(0),
    /** 0: the trainer does not count them. */
    steps: z.number().int().min(0).default(0),
    metrics: metricsSchema,
    warnings: z.array(z.string().max(1000)).max(100),
    seconds: z.number().min(0),
    peakRssBytes: bytes,
    /** What came over the wire, when the update was encoded: digest and bytes above are of what it decodes to. */
    sent: object.optional(),
  },
  'evaluation-reported': {
    stage: stageSchema,
    site,
    samples: z.number().int().min(0),
    evaluations: z.array(z.object({ model: z.string(), metrics: metricsSchema })),
    peakRssBytes: bytes,
  },
  'statistics-reported': { stage: stageSchema, site, statistics: siteStatisticsSchema, peakRssBytes: bytes },
  /** What a site sent was refused: it cannot contribute to this stage any more. */
  'update-rejected': { stage: stageSchema, site, reason },
  /** A site did not deliver: its trainer failed, or the deadline passed. */
  'site-lost': {
    stage: stageSchema,
    site,
    reason,
    /** It goes on, and its update will count in a later round. */
    late: z.literal(true).optional(),
  },
  /** Contributors in site order: the order in which they are aggregated. */
  'stage-closed': {
    stage: stageSchema,
    contributors: z.array(site),
    /** Buffered updates that are combined now, in this order; of an asynchronous run these are all that there are. */
    buffered: z.array(z.object({ stage: stageSchema, site })).optional(),
    bytesToSites: bytes,
    bytesFromSites: bytes,
    /** In which at least one model moved. */
    transferSeconds: z.number().min(0).optional(),
    /** Of the coordinator's process, up to then. */
    peakRssBytes: bytes.optional(),
  },
  'model-published': {
    round: z.number().int().min(0),
    digest,
    bytes,
    /** The server's control variate, made with the model. */
    controls: object.optional(),
    /** What sites download in its place when the plan encodes models, and what that decodes to. */
    wire: object.extend({ decoded: object }).optional(),
    /** That making it took. */
    seconds: z.number().min(0).optional(),
    peakRssBytes: bytes.optional(),
  },
  'run-paused': { operator: z.string(), reason, until: z.iso.datetime() },
  'run-resumed': { operator: z.string() },
  'run-completed': {
    digest,
    /** Why before the last round of the plan. */
    reason: reason.optional(),
    /** By the metric of the plan's early stop. */
    best: z.object({ round: z.number().int().min(0), digest, metric: z.string(), value: z.number() }).optional(),
  },
  'run-aborted': { operator: z.string(), reason },
  'run-failed': { reason },
  /** Another coordinator, or the same after a restart, leads from here on: no event of an earlier epoch can follow. */
  'leader-changed': { address: z.string().max(300) },
} as const;

type Bodies = typeof bodies;
export type EventType = keyof Bodies;

const stamp = {
  v: z.literal(EVENT_VERSION),
  /** Position in the journal, from 1. */
  seq: z.number().int().min(1),
  /** The coordinator's clock. */
  at: z.iso.datetime(),
  /** The term of the leader that wrote it (leadership/lease.ts); 0 from before there were terms. */
  epoch: z.number().int().min(0).default(0),
};

const eventSchema = <T extends EventType>(type: T) => z.object({ ...stamp, type: z.literal(type), ...bodies[type] });

export const runEventSchema = z.discriminatedUnion('type', [
  eventSchema('run-submitted'),
  eventSchema('site-approved'),
  eventSchema('site-refused'),
  eventSchema('stage-opened'),
  eventSchema('update-accepted'),
  eventSchema('evaluation-reported'),
  eventSchema('statistics-reported'),
  eventSchema('update-rejected'),
  eventSchema('site-lost'),
  eventSchema('stage-closed'),
  eventSchema('model-published'),
  eventSchema('run-paused'),
  eventSchema('run-resumed'),
  eventSchema('run-completed'),
  eventSchema('run-aborted'),
  eventSchema('run-failed'),
  eventSchema('leader-changed'),
]);

export type RunEvent = z.output<typeof runEventSchema>;
export type EventOf<T extends EventType> = Extract<RunEvent, { type: T }>;

type WithoutStamp<E> = E extends unknown ? Omit<E, 'v' | 'seq' | 'at' | 'epoch'> : never;
/** An event that has been decided but has no place in the journal yet. */
export type NewEvent = WithoutStamp<RunEvent>;
