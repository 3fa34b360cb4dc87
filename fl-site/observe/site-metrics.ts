import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { MetricsSource } from '../../base/metrics-listener';
import { type Hours, Schedule } from '../hours';
import type { SiteEvent } from '../site-events';

export interface SiteMetricsSources {
  /** Bytes free in the workspace; asked at each scrape. */
  readonly freeBytes: () => Promise<number>;
  /** When the certificate that the agent starts with ends; undefined for a site that never enrolled. */
  readonly certificateEnds: Date | undefined;
  /** @default at any time */
  readonly hours?: Hours | undefined;
  readonly now?: () => number;
}

const DAY_MILLIS = 86400e3;

/** What a site's agent tells Prometheus, made of the events that it tells anyway. No run, case or patient is named. */
export class SiteMetrics implements MetricsSource {
  readonly #registry = new Registry();
  readonly #now: () => number;
  readonly #enrolled = this.#gauge('clara_site_enrolled', '0 while an invitation is waited for.');
  readonly #busy = this.#gauge('clara_site_task_running', '1 while a task is worked on.');
  readonly #disconnects = this.#counter('clara_site_disconnects_total', 'Connections that ended or failed.', []);
  readonly #problems = this.#counter('clara_site_problems_total', 'Failures that belong to no task.', []);
  readonly #tasks = this.#counter('clara_site_tasks_total', 'Tasks that have ended.', ['outcome']);
  readonly #proposals = this.#counter('clara_site_proposals_total', 'Runs that were proposed, by the answer.', [
    'answer',
  ]);
  #connected: Gauge | undefined;
  #certificateEnds = Number.NaN;

  constructor({ freeBytes, certificateEnds, hours, now = Date.now }: SiteMetricsSources) {
    this.#now = now;
    collectDefaultMetrics({ register: this.#registry });
    this.#enrolled.set(0);
    if (certificateEnds) this.#hasCertificate(certificateEnds);
    this.#busy.set(0);
    for (const outcome of ['done', 'failed', 'cancelled']) this.#tasks.inc({ outcome }, 0);
    const schedule = hours && new Schedule(hours);
    this.#gauge('clara_site_hours_open', '1 while trainers may work, by policy.hours.', function () {
      this.set(schedule?.isOpen(now()) === false ? 0 : 1);
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
      case 'enrolment-waits':
        this.#enrolled.set(0);
        return;
      case 'enrolled':
        this.#hasCertificate(new Date(event.ends));
        return;
      case 'connected':
        this.#connected?.set(1);
        return;
      case 'disconnected':
        this.#connected?.set(0);
        this.#disconnects.inc();
        return;
      case 'proposal-answered':
        this.#proposals.inc({ answer: event.approved ? 'approved' : 'refused' });
        return;
      case 'task-started':
        this.#busy.set(1);
        return;
      case 'task-waits':
        this.#busy.set(0);
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

  /** A site that never enrolled tells nothing of a connection: it is not one that has lost it. */
  #hasCertificate(ends: Date): void {
    this.#certificateEnds = ends.getTime();
    this.#enrolled.set(1);
    if (this.#connected) return;
    this.#connected = this.#gauge('clara_site_connected', '1 while the coordinator is connected.');
    this.#connected.set(0);
    const daysLeft = () => (this.#certificateEnds - this.#now()) / DAY_MILLIS;
    this.#gauge('clara_site_certificate_days_left', "Life of the site's certificate.", function () {
      this.set(daysLeft());
    });
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
