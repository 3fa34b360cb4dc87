/** Model bytes that moved, counted where they pass. Figures for people; nothing is decided by them. */
export interface Moved {
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
}

interface SiteBytes {
  toSite: number;
  fromSite: number;
}

export class Traffic {
  readonly #stages = new Map<string, { bytesToSites: number; bytesFromSites: number }>();
  readonly #sites = new Map<string, SiteBytes>();

  /** A stage of the run begins: its counters start at zero. */
  openStage(run: string): void {
    this.#stages.set(run, { bytesToSites: 0, bytesFromSites: 0 });
  }

  toSite(run: string, site: string, bytes: number): void {
    this.#stage(run).bytesToSites += bytes;
    this.#site(run, site).toSite += bytes;
  }

  fromSite(run: string, site: string, bytes: number): void {
    this.#stage(run).bytesFromSites += bytes;
    this.#site(run, site).fromSite += bytes;
  }

  ofStage(run: string): Moved {
    return { ...this.#stage(run) };
  }

  ofSite(run: string, site: string): Readonly<SiteBytes> {
    return this.#site(run, site);
  }

  #stage(run: string): { bytesToSites: number; bytesFromSites: number } {
    return upsert(this.#stages, run, () => ({ bytesToSites: 0, bytesFromSites: 0 }));
  }

  #site(run: string, site: string): SiteBytes {
    return upsert(this.#sites, `${run}/${site}`, () => ({ toSite: 0, fromSite: 0 }));
  }
}

function upsert<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
