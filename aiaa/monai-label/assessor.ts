import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ClaraError, hasCode } from '../../base/errors';
import type { InferenceService } from '../inference/inference-service';
import { namesOfModels, type StoredModel } from '../registry/model-registry';
import { versionsOf } from '../registry/model-versions';
import { uncertaintyBy } from './active-learning';
import type { Datastore, StoredImage } from './datastore';

export interface AssessorOptions {
  readonly datastore: Datastore;
  readonly inference: InferenceService;
  readonly log: Logger;
  /** How long somebody who asks waits for assessments that are being made. */
  readonly assessWaitMs: number;
}

/** People's segmentations come first; whether there are any is looked at this often. */
const IDLE_CHECK_MS = 200;
/** Somebody who clicks asks again after a few seconds. */
const QUIET_MS = 3000;
/** What fails so fails again with the same image and model. */
const LASTING = ['unsupported', 'invalid-input', 'corrupt'] as const;
/** An image that fails in another way, such as one that ends its process, is given up after so many attempts. */
const MAX_ATTEMPTS = 3;
/** Images that a model could not assess are remembered, up to so many. */
const MAX_FAILURES = 10_000;

/** Lets a model look at the images of the datastore, one after the other while nobody segments, and keeps how unsure it was with each. */
export class Assessor {
  private readonly control = new AbortController();
  private running: Promise<void> | undefined;
  /** How often an image has failed with a model. */
  private readonly failures = new Map<string, number>();

  constructor(private readonly options: AssessorOptions) {}

  /**
   * Begins to assess those of the images that this model has not, unless it is busy with others, and waits for them, but not long: what is
   * not ready then goes on being made for who asks next.
   */
  async assess(model: StoredModel, images: readonly StoredImage[], signal: AbortSignal): Promise<void> {
    const name = assessorOf(model);
    const missing = images.filter((stored) => {
      const failures = this.failures.get(failureOf(name, stored.image)) ?? 0;
      return uncertaintyBy(name, stored) === undefined && failures < MAX_ATTEMPTS;
    });
    if (missing.length === 0) return;
    this.running ??= this.run(model, missing).finally(() => {
      this.running = undefined;
    });
    const { assessWaitMs } = this.options;
    const left = new AbortController();
    const waited = delay(assessWaitMs, undefined, { signal: AbortSignal.any([signal, left.signal]) }).catch(() => {});
    await Promise.race([this.running, waited]);
    left.abort();
  }

  /** Stops what runs, and waits until it has ended. */
  async close(): Promise<void> {
    this.control.abort(new ClaraError('cancelled', 'the server is shutting down'));
    await this.running;
  }

  private async run(model: StoredModel, images: readonly StoredImage[]): Promise<void> {
    const { datastore, inference, log } = this.options;
    const { signal } = this.control;
    const name = assessorOf(model);
    const left = [...images];
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { image } = next;
      try {
        while (this.isBusy()) await delay(IDLE_CHECK_MS, undefined, { signal });
        const uncertainty = await inference.assess(model, datastore.pathOf(image), signal);
        await datastore.putAssessment(image, { model: name, uncertainty });
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasCode(thrown, 'cancelled'))
          left.unshift(next); // somebody came
        else {
          this.fail(failureOf(name, image), hasCode(thrown, ...LASTING));
          log.warn({ model: name, err: ClaraError.from(thrown) }, 'an image could not be assessed');
        }
      }
    }
  }

  private isBusy(): boolean {
    const { running, waiting, quietMs } = this.options.inference;
    return running > 0 || waiting > 0 || quietMs < QUIET_MS;
  }

  private fail(key: string, isLasting: boolean): void {
    const before = this.failures.get(key) ?? 0;
    if (this.failures.size >= MAX_FAILURES) this.failures.clear();
    this.failures.set(key, isLasting ? MAX_ATTEMPTS : before + 1);
  }
}

/** A model as assessments name it: a version that was deleted and published anew may be another one. */
export function assessorOf({ entry }: Pick<StoredModel, 'entry'>): string {
  return `${entry.name} ${entry.version} ${entry.publishedAt}`;
}

/** Whether the model that an assessment names can still be served. Of a name whose versions cannot be read, all count as there. */
export async function assessorsOf(workspace: string): Promise<(assessor: string) => boolean> {
  const known = new Set<string>();
  const unreadable = new Set<string>();
  for (const name of await namesOfModels(workspace)) {
    try {
      for (const entry of (await versionsOf(workspace, name)).versions) known.add(assessorOf({ entry }));
    } catch (error) {
      if (!hasCode(error, 'not-found')) unreadable.add(name);
    }
  }
  return (assessor) => known.has(assessor) || unreadable.has(assessor.split(' ', 1)[0]);
}

function failureOf(model: string, { sha256 }: StoredImage['image']): string {
  return `${model} ${sha256}`;
}
