import type { PortError } from './port/messages';
import type { Trouble } from './site-trouble';

/** What sites train on. */
export type Problem =
  /** The built-in convex problem, on generated data. */
  | { readonly kind: 'softmax' }
  /** The reference trainer, on phantoms. */
  | { readonly kind: 'phantoms'; readonly cases: number; readonly heldOut: number }
  /** The reference trainer, on a Decathlon folder a site. */
  | { readonly kind: 'decathlon'; readonly folders: Readonly<Record<string, string>> };

/** What a thread of sites is started with. */
export interface SiteThreadSettings {
  readonly sites: readonly string[];
  /** Where each site has its folder. */
  readonly folder: string;
  /** What plans call the trainer. */
  readonly trainer: string;
  readonly problem: Problem;
  readonly seed: number;
  readonly skew?: number | undefined;
  readonly trouble: Trouble;
  /** How many sites of the thread train at one time. */
  readonly trainingAtOnce: number;
}

export type ToThread = { readonly kind: 'stop' };
export type FromThread =
  /** Every site has its data and dials the coordinator. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'problem'; readonly site: string; readonly message: string }
  | { readonly kind: 'failed'; readonly error: PortError };
