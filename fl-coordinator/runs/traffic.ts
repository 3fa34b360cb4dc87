/** Model bytes that moved, counted where they pass. Figures for people; nothing is decided by them. */
export interface Moved {
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
  /** In which at least one model moved. */
  readonly transferSeconds: number;
}

interface StageTraffic {
  bytesToSites: number;
  bytesFromSites: number;
  /** Transfers that go on now, and since when there is one. */
  active: number;
  since: number;
  busyMillis: number;
}

interface SiteBytes {
  toSite: number;
  fromSite: number;
}

export class Traffic {
  readonly #stages = new Map<string, StageTraffic>();
  readonly #sites = new Map<string, SiteBytes>();

  /**
   * @param clock milliseconds that never go back
   * @param onMoved told of all bytes, where they pass
   */
  constructor(
    private readonly clock: () => number = () => performance.now(),
    private readonly onMoved: (site: string, direction: 'to-site' | 'from-site', bytes: number) => void = () => {},
  ) {}

  /** A stage of the run begins: its counters start at zero. */
  openStage(run: string): void {
    this.#stages.set(run, newStage());
  }

  /** A transfer of the open stage begins. @returns to be called when it has ended, however */
  transferring(run: string): () => void {
    const stage = this.#stage(run);
    if (stage.active++ === 0) stage.since = this.clock();
    return () => {
      if (--stage.active === 0) stage.busyMillis += this.clock() - stage.since;
    };
  }

  toSite(run: string, site: string, bytes: number): void {
    this.#stage(run).bytesToSites += bytes;
    this.#site(run, site).toSite += bytes;
    this.onMoved(site, 'to-site', bytes);
  }

  fromSite(run: string, site: string, bytes: number): void {
    this.#stage(run).bytesFromSites += bytes;
    this.#site(run, site).fromSite += bytes;
    this.onMoved(site, 'from-site', bytes);
  }

  ofStage(run: string): Moved {
    const { bytesToSites, bytesFromSites, active, since, busyMillis } = this.#stage(run);
    const busy = busyMillis + (active > 0 ? this.clock() - since : 0);
    return { bytesToSites, bytesFromSites, transferSeconds: busy / 1000 };
  }

  ofSite(run: string, site: string): Readonly<SiteBytes> {
    return this.#site(run, site);
  }

  #stage(run: string): StageTraffic {
    return upsert(this.#stages, run, newStage);
  }

  #site(run: string, site: string): SiteBytes {
    return upsert(this.#sites, `${run}/${site}`, () => ({ toSite: 0, fromSite: 0 }));
  }
}

function newStage(): StageTraffic {
  return { bytesToSites: 0, bytesFromSites: 0, active: 0, since: 0, busyMillis: 0 };
}

function upsert<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
