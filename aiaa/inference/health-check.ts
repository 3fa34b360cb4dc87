import { ClaraError, hasCode } from '../../base/errors';
import { listModels, type OpenedModel, openModel } from '../registry/model-registry';
import type { InferenceService } from './inference-service';

/** Answer of `GET /health`. */
export interface Health {
  readonly status: 'ok' | 'failing';
  /** One sentence for people. */
  readonly detail: string;
  readonly models: number;
  /** Segmentations that wait. */
  readonly waiting: number;
}

export interface HealthOptions {
  readonly workspace: string;
  /** 0: nothing is cached. */
  readonly healthCacheMs: number;
  readonly healthMs: number;
}

/** Probes take this share of a slot's time at most: the next one comes so many times its length later. */
const REST = 9;
/** The longest that a probe may take, as a multiple of what it may take at first. */
const PATIENCE = 8;

/**
 * Tells whether this server can segment, by doing it: a page that answers while no model does is the failure that a load
 * balancer must see. While a radiologist's segmentation runs, that is the proof of life (its own time limit ends a hung one).
 */
export class HealthCheck {
  private last: { readonly at: number; readonly health: Promise<Health> } | undefined;
  /** Of the last probe. */
  private probeMs = 0;
  /** What a probe may take now, and of which model. */
  private patience: { readonly model: string; readonly ms: number } | undefined;

  constructor(
    private readonly service: InferenceService,
    private readonly options: HealthOptions,
  ) {}

  /** From now on the answer is no, with this sentence. */
  fail(detail: string): void {
    const health: Health = { status: 'failing', detail, models: 0, waiting: 0 };
    this.last = { at: Number.POSITIVE_INFINITY, health: Promise.resolve(health) };
  }

  /** Cached for some seconds, or a multiple of what the last one took; checks that come while one runs share it. */
  check(): Promise<Health> {
    const now = performance.now();
    const cacheMs = Math.max(this.options.healthCacheMs, this.options.healthCacheMs && this.probeMs * REST);
    if (this.last === undefined || now - this.last.at > cacheMs) {
      this.last = { at: now, health: this.look() };
    }
    return this.last.health;
  }

  private async look(): Promise<Health> {
    const { workspace } = this.options;
    const waiting = this.service.waiting;
    const broken: string[] = [];
    let models = 0;
    try {
      const entries = await listModels(workspace, { onBroken: (_name, error) => broken.push(error.message) });
      models = entries.length;
      if (broken.length > 0 && entries.every((entry) => publicationOf(entry) === ''))
        throw new ClaraError('corrupt', broken[0]);
      if (models === 0) return { status: 'ok', detail: 'No model is published yet.', models, waiting };
      // The newest one: what a broken release would break.
      const newest = entries.reduce((a, b) => (publicationOf(b) > publicationOf(a) ? b : a));
      const began = performance.now();
      const outcome = await this.probe(await openModel(workspace, newest.name));
      const ms = Math.round(performance.now() - began);
      this.probeMs = outcome === 'busy' ? 0 : ms;
      const detail = outcome === 'busy' ? 'A segmentation is running.' : `Model ${newest.name} answered in ${ms} ms.`;
      return { status: 'ok', detail, models, waiting };
    } catch (thrown) {
      this.probeMs = 0;
      return { status: 'failing', detail: ClaraError.from(thrown).message, models, waiting };
    }
  }

  /** A network with a large window takes its time even with a tiny volume: one that was too slow gets twice as long the next time. */
  private async probe(model: OpenedModel): Promise<'answered' | 'busy'> {
    const { healthMs } = this.options;
    const { name, version } = model.entry;
    const key = `${name} ${version}`;
    const ms = this.patience?.model === key ? this.patience.ms : healthMs;
    try {
      return await this.service.probe(model, ms);
    } catch (error) {
      if (hasCode(error, 'deadline-exceeded'))
        this.patience = { model: key, ms: Math.min(2 * ms, PATIENCE * healthMs) };
      throw error;
    }
  }
}

/** Earlier than any other for models that come with the server. */
function publicationOf(entry: OpenedModel['entry']): string {
  return 'publishedAt' in entry ? entry.publishedAt : '';
}
