import type { ErrorCode } from '../base/errors';
import type { Metrics, TaskKind } from '../federation/trainer-contract';
import type { TaskActivity } from './task-progress';

/** What a site agent tells the program that started it, for people to see. */
export type SiteEvent =
  /** The site has no certificate that counts, and enrols itself once it is given an invitation. */
  | { readonly kind: 'enrolment-waits'; readonly message: string }
  | { readonly kind: 'enrolled'; readonly identity: string; readonly ends: string }
  | { readonly kind: 'connected'; readonly coordinator: string; readonly software: string }
  | {
      readonly kind: 'disconnected';
      readonly coordinator: string;
      readonly reason: string;
      /** When the next attempt follows. */
      readonly retryMillis: number;
    }
  /** The reason of a refusal, or what may go wrong with a run that was approved. */
  | { readonly kind: 'proposal-answered'; readonly run: string; readonly approved: boolean; readonly reason: string }
  /** A person has to answer: `clara-fed site approve` or `refuse`. */
  | { readonly kind: 'proposal-waits'; readonly run: string }
  | ({ readonly kind: 'task-started'; readonly round: number; readonly taskKind: TaskKind } & OfTask)
  | ({ readonly kind: 'progress' } & TaskActivity & OfTask)
  | ({ readonly kind: 'log'; readonly line: string } & OfTask)
  /** It waits for the site's hours (`policy.hours`), before it has begun or in the middle of it. */
  | ({ readonly kind: 'task-waits'; readonly reason: string } & OfTask)
  | ({
      readonly kind: 'task-done';
      readonly round: number;
      readonly taskKind: TaskKind;
      readonly samples: number;
      readonly metrics: Metrics;
      readonly seconds: number;
    } & OfTask)
  | ({ readonly kind: 'task-failed'; readonly code: ErrorCode; readonly message: string } & OfTask)
  | ({ readonly kind: 'task-cancelled'; readonly reason: string } & OfTask)
  | { readonly kind: 'run-finished'; readonly run: string; readonly state: string }
  /** How far this site is with a model that was promoted to it; `waiting` is for a person: `clara-fed site approve`. */
  | {
      readonly kind: 'promotion';
      readonly model: string;
      readonly version: number;
      readonly state: 'waiting' | 'downloaded' | 'serving' | 'refused' | 'failed';
      readonly reason: string;
    }
  | { readonly kind: 'certificate-renewed'; readonly ends: string }
  /** Something went wrong that belongs to no task, and the agent goes on. */
  | { readonly kind: 'problem'; readonly message: string };

interface OfTask {
  readonly task: string;
  readonly run: string;
}
