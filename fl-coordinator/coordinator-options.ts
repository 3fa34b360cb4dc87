import type { StoreAddress } from './storage/store-address';
import type { Secret } from './trust/secret';
import type { KeepUpdates } from './upkeep/retention';

/** What a coordinator is told when it starts, what it tells, and what its starter holds. */

export interface CoordinatorOptions {
  /** Of this coordinator alone: what has no place of its own below. */
  readonly workspace: string;
  /** Coordinators with the same store are one service: one leads, the others stand by. @default the folder `<workspace>/store` */
  readonly store?: StoreAddress | undefined;
  /** Certificate authority, the same for every coordinator of a store: its folder, or a secret. @default `<workspace>/trust` */
  readonly trust?: string | Secret | undefined;
  /** Where the first operator's credentials go, the same for every coordinator. @default the folder `<workspace>/operator` */
  readonly operator?: Secret | undefined;
  /** Name of the federation, part of every identity. */
  readonly federation: string;
  /** Where sites and operators work. Port 0: any free one. */
  readonly listen: Address;
  /** Where sites without a certificate enrol. */
  readonly enrolmentListen: Address;
  /** Names and addresses under which others reach this coordinator; the first is told to sites. */
  readonly hostNames: readonly string[];
  /** `host:port` of every coordinator of the store, for invitations and operators. @default this one's */
  readonly advertise?: readonly string[] | undefined;
  readonly software: string;
  /**
   * A site that is silent for so long is taken for disconnected, and a leader that is, for gone: its lease lasts two thirds of
   * it, the rest is for the change. @default 15 s
   */
  readonly livenessMillis?: number;
  /** Larger updates and uploaded models are refused. @default 16 GiB */
  readonly maxUpdateBytes?: number;
  /** Which updates stay when nothing needs them any more. @default 'none' */
  readonly keepUpdates?: KeepUpdates | undefined;
  /** Where Prometheus reads figures, over plain HTTP. @default nowhere */
  readonly metrics?: Address | undefined;
  readonly onEvent?: (event: CoordinatorEvent) => void;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type CoordinatorEvent =
  | { readonly event: 'run-changed'; readonly run: string; readonly seq: number; readonly state: string }
  | { readonly event: 'call-refused'; readonly method: string; readonly code: string; readonly message: string }
  | { readonly event: 'model-delayed'; readonly run: string; readonly round: number; readonly reason: string }
  /** Another coordinator leads. */
  | { readonly event: 'standing-by'; readonly leader: string; readonly address: string; readonly epoch: number }
  /** This coordinator leads after it has stood by, or lost the lead. */
  | { readonly event: 'leading'; readonly epoch: number }
  /** It does not lead any more, and stands by. */
  | { readonly event: 'lead-lost'; readonly reason: string }
  | { readonly event: 'problem'; readonly reason: string }
  | { readonly event: 'stopping'; readonly reason: string };

export interface RunningCoordinator {
  /** `host:port` for sites and operators. */
  readonly address: string;
  readonly enrolmentAddress: string;
  /** `host:port` of the figures, when there are any. */
  readonly metricsAddress?: string | undefined;
  /** Folder, or name of the secret, with the credentials of the first operator, made by the first leader. */
  readonly operatorPlace: string;
  /** Resolves when it leads for the first time; never, when it ends before. */
  readonly serving: Promise<void>;
  /** Rejects when the coordinator cannot go on; otherwise resolves after {@link close}. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}
