import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { MetricsSource } from '../../base/metrics-listener';
import type { InferenceObserver, JobOutcome, ReplacementReason } from '../inference/inference-slot';

/** Where the values of gauges come from, asked at each scrape. */
export interface LoadSource {
  readonly slots: number;
  readonly running: number;
  readonly waiting: number;
  /** Resident bytes of the inference processes after their last jobs. */
  readonly workerBytes: number;
}

export interface AnsweredRequest {
  /** The route, such as `/session/:id`. */
  readonly endpoint: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
  readonly received: number;
  readonly sent: number;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** A model label beyond this many is `other`, so that the number of series is bounded. */
const MAX_MODELS = 100;
const SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const REASONS: readonly ReplacementReason[] = ['died', 'hung', 'failed', 'memory', 'jobs'];

/** The figures of one annotation server, in a registry of their own. No patient, file or session is named. */
export class AnnotationMetrics implements MetricsSource, InferenceObserver {
  readonly #registry = new Registry();
  readonly #models = new Set<string>();
  readonly #requests = this.#counter('clara_aiaa_requests_total', 'Requests that were answered.', [
    'endpoint',
    'method',
    'status',
  ]);
  readonly #durations = this.#histogram('clara_aiaa_request_seconds', 'From the first header to the last byte.', [
    'endpoint',
  ]);
  readonly #bytes = this.#counter('clara_aiaa_bytes_total', 'Bytes received and sent, headers included.', [
    'endpoint',
    'direction',
  ]);
  readonly #inferences = this.#histogram('clara_aiaa_inference_seconds', 'Running one job, without its wait.', [
    'model',
  ]);
  readonly #outcomes = this.#counter('clara_aiaa_inferences_total', 'What became of jobs.', ['model', 'outcome']);
  readonly #waits = this.#histogram('clara_aiaa_queue_seconds', 'Waiting for an inference process.', []);
  readonly #replaced = this.#counter(
    'clara_aiaa_worker_restarts_total',
    'Inference processes that were replaced, and why.',
    ['reason'],
  );

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    for (const reason of REASONS) this.#replaced.inc({ reason }, 0);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In the Prometheus text format, version 0.0.4. */
  metrics(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Told once, when there is something to look at. */
  watchLoad(source: LoadSource): void {
    this.#gauge('clara_aiaa_slots', 'Inference processes that may run.', () => source.slots);
    this.#gauge('clara_aiaa_running', 'Jobs that run.', () => source.running);
    this.#gauge('clara_aiaa_waiting', 'Jobs that wait.', () => source.waiting);
    this.#gauge(
      'clara_aiaa_worker_resident_bytes',
      'Resident memory of the inference processes after their last jobs.',
      () => source.workerBytes,
    );
  }

  /** Told once. */
  watchDatastore(source: { readonly damaged: number }): void {
    const help = 'Images and labels of the datastore that are left out, since what is known of them is damaged.';
    this.#gauge('clara_aiaa_datastore_damaged', help, () => source.damaged);
  }

  answered({ endpoint, method, status, seconds, received, sent }: AnsweredRequest): void {
    this.#requests.inc({ endpoint, method: METHODS.includes(method) ? method : 'other', status: String(status) });
    this.#durations.observe({ endpoint }, seconds);
    this.#bytes.inc({ endpoint, direction: 'received' }, received);
    this.#bytes.inc({ endpoint, direction: 'sent' }, sent);
  }

  waited(seconds: number): void {
    this.#waits.observe(seconds);
  }

  finished(model: string, outcome: JobOutcome, seconds: number): void {
    const label = this.#bounded(model);
    this.#outcomes.inc({ model: label, outcome });
    if (outcome === 'done') this.#inferences.observe({ model: label }, seconds);
  }

  replaced(reason: ReplacementReason): void {
    this.#replaced.inc({ reason });
  }

  #bounded(model: string): string {
    if (this.#models.size < MAX_MODELS) this.#models.add(model);
    return this.#models.has(model) ? model : 'other';
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, labelNames: readonly string[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      ...{ name, help, registers: [this.#registry] },
      collect() {
        this.set(value());
      },
    });
  }
}
