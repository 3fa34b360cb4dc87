import { ClaraError } from '../../base/errors';
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
  readonly healthCacheMs: number;
  readonly healthMs: number;
}

/**
 * Tells whether this server can segment, by doing it: a page that answers while no model does is the failure that a load
 * balancer must see. While a radiologist's segmentation runs, that is the proof of life (its own time limit ends a hung one).
 */
export class HealthCheck {
  private last: { readonly at: number; readonly health: Promise<Health> } | undefined;

  constructor(
    private readonly service: InferenceService,
    private readonly options: HealthOptions,
  ) {}

  /** From now on the answer is no, with this sentence. */
  fail(detail: string): void {
    const health: Health = { status: 'failing', detail, models: 0, waiting: 0 };
    this.last = { at: Number.POSITIVE_INFINITY, health: Promise.resolve(health) };
  }

  /** Cached for some seconds; checks that come while one runs share it. */
  check(): Promise<Health> {
    const now = performance.now();
    if (this.last === undefined || now - this.last.at > this.options.healthCacheMs) {
      this.last = { at: now, health: this.look() };
    }
    return this.last.health;
  }

  private async look(): Promise<Health> {
    const { workspace, healthMs } = this.options;
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
      const outcome = await this.service.probe(await openModel(workspace, newest.name), healthMs);
      const ms = Math.round(performance.now() - began);
      const detail = outcome === 'busy' ? 'A segmentation is running.' : `Model ${newest.name} answered in ${ms} ms.`;
      return { status: 'ok', detail, models, waiting };
    } catch (thrown) {
      return { status: 'failing', detail: ClaraError.from(thrown).message, models, waiting };
    }
  }
}

/** Earlier than any other for models that come with the server. */
function publicationOf(entry: OpenedModel['entry']): string {
  return 'publishedAt' in entry ? entry.publishedAt : '';
}
