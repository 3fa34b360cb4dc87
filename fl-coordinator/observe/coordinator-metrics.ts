import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../../base/errors';
import type { MetricsSource } from '../../base/metrics-listener';
import type { NewEvent } from '../runs/events';
import type { RunState } from '../runs/run-state';
import { RUN_STATES, stateName } from '../runs/run-view';
import { stageSchema } from '../runs/stage';

/** Where the values of gauges come from, asked at each scrape. */
export interface MetricsSources {
  readonly runs: () => readonly RunState[];
  readonly connectedSites: () => number;
  /** Ends of certificates by what they are for: server, issuing-authority, root. */
  readonly certificates: () => Readonly<Record<string, Date>>;
  /** RFC 3339, for sites that are enrolled. */
  readonly siteCertificates: () => readonly { readonly site: string; readonly certificateEnds?: string | undefined }[];
  readonly now?: () => number;
}

const DAY_MILLIS = 86400e3;
/** A site label beyond this many is `other`, so that the number of series is bounded. */
const MAX_SITES = 1000;
/** Answers, not failures of the store: somebody asked for what is not there, or stopped asking. */
const ANSWERS: ReadonlySet<ErrorCode> = new Set(['not-found', 'precondition-failed', 'invalid-input', 'cancelled']);

/** The metrics of one coordinator, in a registry of their own. Counters begin at 0 with the process, as Prometheus expects. */
export class CoordinatorMetrics implements MetricsSource {
  readonly #registry = new Registry();
  readonly #sites = new Set<string>();
  readonly #bytes = this.#counter('clara_bytes_total', 'Model bytes moved, by site and direction.', [
    'site',
    'direction',
  ]);
  readonly #updates = this.#counter('clara_updates_total', 'What became of tasks that end with an update.', [
    'outcome',
  ]);
  readonly #storeErrors = this.#counter('clara_store_errors_total', 'Failed calls of the object store.', [
    'operation',
    'code',
  ]);
  readonly #appends = new Histogram({
    name: 'clara_event_append_seconds',
    help: 'Making one journal event durable.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [this.#registry],
  });
  readonly #aggregations = new Histogram({
    name: 'clara_aggregation_seconds',
    help: 'Making one global model.',
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
    registers: [this.#registry],
  });

  constructor(private readonly sources: MetricsSources) {
    collectDefaultMetrics({ register: this.#registry });
    for (const outcome of ['accepted', 'rejected', 'lost']) this.#updates.inc({ outcome }, 0);
    this.#gauge('clara_runs', 'Runs by state.', ['state'], (set) => {
      const states = sources.runs().map(stateName);
      for (const state of RUN_STATES) set({ state }, states.filter((other) => other === state).length);
    });
    this.#gauge(
      'clara_open_stage_age_seconds',
      'Age of the oldest open stage of its kind; 0 without one.',
      ['stage'],
      (set) => {
        const open = sources.runs().flatMap((run) => (run.open && !run.outcome ? [run.open] : []));
        for (const stage of stageSchema.shape.kind.options) {
          const ages = open.filter((other) => other.stage.kind === stage).map(({ openedAt }) => this.#since(openedAt));
          set({ stage }, Math.max(0, ...ages));
        }
      },
    );
    this.#gauge('clara_sites_connected', 'Sites that are connected now.', [], (set) =>
      set({}, sources.connectedSites()),
    );
    this.#gauge('clara_certificate_days_left', "Life of the coordinator's certificates.", ['certificate'], (set) => {
      for (const [certificate, ends] of Object.entries(sources.certificates()))
        set({ certificate }, this.#daysTo(ends));
    });
    this.#gauge('clara_site_certificate_days_left', "Life of the sites' newest certificates.", ['site'], (set) => {
      for (const { site, certificateEnds } of sources.siteCertificates().slice(0, MAX_SITES)) {
        if (certificateEnds) set({ site }, this.#daysTo(new Date(certificateEnds)));
      }
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In the Prometheus text format, version 0.0.4. */
  metrics(): Promise<string> {
    return this.#registry.metrics();
  }

  /** A journal has one more event; `seconds` is what making it durable took. */
  appended(event: NewEvent, seconds: number): void {
    this.#appends.observe(seconds);
    switch (event.type) {
      case 'update-accepted':
        this.#updates.inc({ outcome: 'accepted' });
        return;
      case 'update-rejected':
        this.#updates.inc({ outcome: 'rejected' });
        return;
      case 'site-lost':
        this.#updates.inc({ outcome: 'lost' });
        return;
      case 'model-published':
        if (event.round > 0 && event.seconds !== undefined) this.#aggregations.observe(event.seconds);
    }
  }

  moved(site: string, direction: 'to-site' | 'from-site', bytes: number): void {
    this.#bytes.inc({ site: this.#bounded(site), direction }, bytes);
  }

  storeFailed(operation: string, code: ErrorCode): void {
    if (!ANSWERS.has(code)) this.#storeErrors.inc({ operation, code });
  }

  #bounded(site: string): string {
    if (this.#sites.size < MAX_SITES) this.#sites.add(site);
    return this.#sites.has(site) ? site : 'other';
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  /** @param collect tells all values anew; what it does not tell any more is gone */
  #gauge(
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: (set: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const registers = [this.#registry];
    new Gauge({
      ...{ name, help, labelNames, registers },
      collect() {
        this.reset();
        collect((labels, value) => this.set(labels, value));
      },
    });
  }

  #since(time: string): number {
    return Math.max((this.#now() - Date.parse(time)) / 1000, 0);
  }

  #daysTo(time: Date): number {
    return (time.getTime() - this.#now()) / DAY_MILLIS;
  }

  #now(): number {
    return (this.sources.now ?? Date.now)();
  }
}
