import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { MetricsSource } from '../../base/metrics-listener';
import type { SiteEvent } from '../site-events';

export interface SiteMetricsSources {
  /** Bytes free in the workspace; asked at each scrape. */
  readonly freeBytes: () => Promise<number>;
  /** When the certificate that the agent starts with ends. */
  readonly certificateEnds: Date;
  readonly now?: () => number;
}

const DAY_MILLIS = 86400e3;

/** What a site's agent tells Prometheus, made of the events that it tells anyway. No run, case or patient is named. */
export class SiteMetrics implements MetricsSource {
  readonly #registry = new Registry();
  readonly #connected = this.#gauge('clara_site_connected', '1 while the coordinator is connected.');
  readonly #busy = this.#gauge('clara_site_task_running', '1 while a task is worked on.');
  readonly #disconnects = this.#counter('clara_site_disconnects_total', 'Connections that ended or failed.', []);
  readonly #problems = this.#counter('clara_site_problems_total', 'Failures that belong to no task.', []);
  readonly #tasks = this.#counter('clara_site_tasks_total', 'Tasks that have ended.', ['outcome']);
  readonly #proposals = this.#counter('clara_site_proposals_total', 'Runs that were proposed, by the answer.', [
    'answer',
  ]);
  #certificateEnds: number;

  constructor({ freeBytes, certificateEnds, now = Date.now }: SiteMetricsSources) {
    this.#certificateEnds = certificateEnds.getTime();
    collectDefaultMetrics({ register: this.#registry });
    this.#connected.set(0);
    this.#busy.set(0);
    for (const outcome of ['done', 'failed', 'cancelled']) this.#tasks.inc({ outcome }, 0);
    const ends = () => this.#certificateEnds;
    this.#gauge('clara_site_certificate_days_left', "Life of the site's certificate.", function () {
      this.set((ends() - now()) / DAY_MILLIS);
    });
    this.#gauge('clara_site_workspace_free_bytes', 'Bytes free in the workspace.', async function () {
      // Until the agent has made its workspace there is nothing to measure.
      this.set(await freeBytes().catch(() => Number.NaN));
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  metrics(): Promise<string> {
    return this.#registry.metrics();
  }

  onEvent(event: SiteEvent): void {
    switch (event.kind) {
      case 'connected':
        this.#connected.set(1);
        return;
      case 'disconnected':
        this.#connected.set(0);
        this.#disconnects.inc();
        return;
      case 'proposal-answered':
        this.#proposals.inc({ answer: event.approved ? 'approved' : 'refused' });
        return;
      case 'task-started':
        this.#busy.set(1);
        return;
      case 'task-done':
        this.#ended('done');
        return;
      case 'task-failed':
        this.#ended('failed');
        return;
      case 'task-cancelled':
        this.#ended('cancelled');
        return;
      case 'certificate-renewed':
        this.#certificateEnds = Date.parse(event.ends);
        return;
      case 'problem':
        this.#problems.inc();
    }
  }

  #ended(outcome: string): void {
    this.#busy.set(0);
    this.#tasks.inc({ outcome });
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, collect?: (this: Gauge) => void | Promise<void>): Gauge {
    return new Gauge({ name, help, registers: [this.#registry], ...(collect ? { collect } : {}) });
  }
}
