import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ClaraError, type ErrorCode, hasCode } from '../../base/errors';
import { rm } from '../../base/files';
import type { ProgramStart } from '../../base/own-program';
import {
  type ModelAnnouncement,
  PromotionStatusSchema,
  type SiteMessage,
} from '../../federation/gen/federation/v1/federation_pb';
import { showVersion } from '../../federation/model-name';
import { digestOfFile } from '../../federation/tensors/file';
import { type BackoffBounds, backoffMillis, type Pacing } from '../backoff';
import type { SiteConfiguration } from '../configuration';
import type { CoordinatorClient } from '../coordinator-client';
import { downloadModel } from '../model-download';
import type { SiteEvent } from '../site-events';
import type { Workspace } from '../workspace';
import { type Offer, parseOffer, refusalOf } from './offer';
import type { PromotionRequests } from './promotion-requests';
import { publish } from './publish-process';

export interface ModelPromotionsOptions {
  readonly site: SiteConfiguration;
  readonly workspace: Workspace;
  readonly requests: PromotionRequests;
  /** `clara-fed aiaa publish`; without it every promotion is refused. */
  readonly publisher?: ProgramStart | undefined;
  readonly client: () => CoordinatorClient;
  readonly pacing: Pacing;
  /** Lost without a connection: the coordinator announces again what it has no answer to. */
  readonly send: (message: SiteMessage['message']) => void;
  readonly tell: (event: SiteEvent) => void;
  readonly onProblem: (error: ClaraError) => void;
}

type Told = 'waiting' | 'downloaded' | 'serving' | 'refused' | 'failed';

interface Work {
  readonly offer: Offer;
  readonly stop: AbortController;
  /** What was told last; told again when the coordinator asks again. */
  last?: { readonly state: Told; readonly serving: string; readonly reason: string };
}

/** How often the workspace is looked at for a person's answer, while one is waited for. */
const LOOK_MILLIS = 1000;
/** A full disk, or a program that could not be started, is tried again without end. */
const PATIENT: BackoffBounds = { firstMillis: 1000, maxMillis: 60_000 };
const PASSING: readonly ErrorCode[] = ['unavailable', 'out-of-space', 'resource-exhausted', 'deadline-exceeded'];

/**
 * Takes promoted models: asks the site's policy and people, downloads by digest, has them published, and tells the
 * coordinator how far it is. Nothing of it needs to be remembered: what is not settled is announced again after a restart.
 */
export class ModelPromotions {
  /** The newest promotion of each model. */
  readonly #works = new Map<string, Work>();
  readonly #waiting = new Set<Work>();
  /** One after another: models are large. */
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(private readonly options: ModelPromotionsOptions) {}

  async announce(announcement: ModelAnnouncement): Promise<void> {
    const offer = parseOffer(announcement);
    const known = this.#works.get(offer.model);
    if (this.#closed || (known && known.offer.promotion > offer.promotion)) return;
    if (known?.offer.promotion === offer.promotion) {
      if (known.last) this.#send(known);
      return;
    }
    if (known) this.#drop(known);
    const work: Work = { offer, stop: new AbortController() };
    this.#works.set(offer.model, work);
    const { site, publisher, requests } = this.options;
    const refusal =
      refusalOf(offer, site) ?? (publisher ? undefined : `the agent of ${site.id} was started without a publisher`);
    if (refusal !== undefined) return this.#tell(work, 'refused', { reason: refusal });
    if (site.policy.promotions === 'automatic') return this.#enqueue(work);
    await requests.put(offer);
    this.#waiting.add(work);
    if (!(await this.#look(work))) this.#tell(work, 'waiting');
  }

  /** Looks for answers of persons until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const { pacing, onProblem } = this.options;
    while (!signal.aborted) {
      await pacing.wait(LOOK_MILLIS, signal).catch(() => undefined);
      for (const work of signal.aborted ? [] : [...this.#waiting]) {
        await this.#look(work).catch((error: unknown) => onProblem(ClaraError.from(error)));
      }
    }
  }

  /** Ends all work; what is downloaded stays for the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const work of this.#works.values()) this.#drop(work);
    await this.#queue;
  }

  #drop(work: Work): void {
    this.#waiting.delete(work);
    work.stop.abort(new ClaraError('cancelled', `the promotion of ${showVersion(work.offer)} is not wanted any more`));
  }

  /** @returns true when a person has answered */
  async #look(work: Work): Promise<boolean> {
    const { site, requests } = this.options;
    const request = await requests.of(work.offer);
    if (!request?.decision || !this.#waiting.delete(work)) return false;
    const { approved, reason } = request.decision;
    if (approved) this.#enqueue(work);
    else this.#tell(work, 'refused', { reason: reason || `${site.id} refused ${showVersion(work.offer)}` });
    return true;
  }

  #enqueue(work: Work): void {
    this.#queue = this.#queue.then(() => this.#take(work));
  }

  async #take(work: Work): Promise<void> {
    const { pacing } = this.options;
    const { signal } = work.stop;
    for (let failures = 0; !signal.aborted; ) {
      try {
        return await this.#takeOnce(work);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = ClaraError.from(thrown);
        if (!PASSING.includes(error.code)) return this.#tell(work, 'failed', { reason: error.message });
        this.options.onProblem(error);
        await pacing.wait(backoffMillis(failures++, pacing.random, PATIENT), signal).catch(() => undefined);
      }
    }
  }

  async #takeOnce(work: Work): Promise<void> {
    const { site, requests, publisher } = this.options;
    const { offer, stop } = work;
    const file = path.join(requests.folderOf(offer), 'model.safetensors');
    await this.#download(work, file);
    this.#tell(work, 'downloaded');
    const { workspace } = site.annotation!;
    const serving = await publish({ program: publisher!, workspace, file, offer, signal: stop.signal });
    await rm(file, { force: true });
    this.#tell(work, 'serving', { serving });
  }

  async #download({ offer, stop }: Work, file: string): Promise<void> {
    const { workspace, client, pacing } = this.options;
    const { signal } = stop;
    const { object, size, sha256 } = offer;
    const found = await digestOfFile(file, { signal }).catch((error: unknown) => {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    });
    if (found === `sha256:${sha256}`) return;
    await rm(file, { force: true });
    await workspace.requireSpace(size, showVersion(offer));
    await downloadModel({
      client: { download: (...args) => client().download(...args) },
      object,
      blob: { size, sha256: Buffer.from(sha256, 'hex') },
      target: file,
      signal,
      pacing,
      onBytes: () => {},
    });
  }

  #tell(work: Work, state: Told, { serving = '', reason = '' } = {}): void {
    const { model, version } = work.offer;
    work.last = { state, serving, reason };
    this.options.tell({ kind: 'promotion', model, version, state, reason });
    this.#send(work);
  }

  #send({ offer: { promotion }, last }: Work): void {
    this.options.send({ case: 'promotionStatus', value: create(PromotionStatusSchema, { promotion, ...last }) });
  }
}
