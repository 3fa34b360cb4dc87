import { createHash } from 'node:crypto';
import path from 'node:path';

/**
 * What a run with the trainer of shift-trainer.cjs must end with, computed in plain float64 from the definitions of the
 * strategies (federation/strategy.ts): means over the sites in site order, float32 only where a value is kept.
 */

export const SHIFT_TRAINER = path.join(__dirname, 'shift-trainer.cjs');

export interface ShiftRun {
  readonly strategy: 'fedavg' | 'fedavgm' | 'fedadam' | 'fedyogi' | 'median' | 'scaffold';
  readonly elements: number;
  /** The sites that contribute to each round; each is one letter. */
  readonly rounds: readonly (readonly string[])[];
  /** Bytes of a model of {@link shiftModel} where round 1 starts. @default what the trainer makes */
  readonly start?: Buffer;
  /** What encodings of the plan do to what travels. */
  readonly wire?: ShiftWire;
}

export interface ShiftWire {
  /** The model that sites have. */
  down(model: readonly number[]): number[];
  /** The update that the coordinator has. */
  up(update: readonly number[], base: readonly number[], site: string): number[];
}

export interface ShiftResult {
  readonly bytes: Buffer;
  readonly digest: string;
}

const results = new Map<string, ShiftResult>();

export function shiftModel(run: ShiftRun): ShiftResult {
  const { strategy, elements, rounds, start, wire } = run;
  if (start !== undefined || wire !== undefined) return computed(run);
  const key = JSON.stringify([strategy, elements, rounds]);
  const result = results.get(key) ?? computed(run);
  results.set(key, result);
  return result;
}

function computed({ strategy, elements, rounds, start, wire }: ShiftRun): ShiftResult {
  const first = initialShiftModel(elements);
  let model = start ? first.map((_, i) => start.readFloatLE(start.length - (first.length - i) * 4)) : first;
  const optimiser = optimisers[strategy]();
  // SCAFFOLD: what each site kept, and the mean of it, weighed like updates; all sites take part in each round.
  const own = new Map<string, readonly number[]>();
  let all: readonly number[] | undefined;
  rounds.forEach((sites, index) => {
    const base = wire ? wire.down(model) : model;
    const weights = sites.map(shiftSamples);
    const mean = (column: readonly number[]) => weightedMean(column, weights);
    const updates = sites.map((site) => {
      const control = own.get(site);
      const correction = all?.map((value, i) => -0.5 * (value - (control?.[i] ?? 0)));
      const update = shiftUpdate(base, site, index + 1, correction);
      return wire ? wire.up(update, base, site) : update;
    });
    if (strategy === 'scaffold') {
      const kept = sites.map((site) => controlAfter(site, index + 1, model.length));
      for (const [k, site] of sites.entries()) own.set(site, kept[k]!);
      all = acrossSites(kept, (column) => Math.fround(mean(column)));
    }
    const combined = acrossSites(updates, strategy === 'median' ? median : mean);
    model = combined.map((value, i) => Math.fround(optimiser(i, base[i]!, value)));
  });
  const bytes = shiftFile(model, elements);
  return { bytes, digest: digestOf(bytes) };
}

/** What the trainer starts from. */
export function initialShiftModel(elements: number): number[] {
  return [...Array.from({ length: elements }, (_, i) => ((i % 13) - 6) / 4), 0.5, -1, 2].map(Math.fround);
}

/** One value of each weight from those of the sites. The column that `combine` is given is used again: models have millions. */
function acrossSites(rows: readonly (readonly number[])[], combine: (column: readonly number[]) => number): number[] {
  const column = rows.map(() => 0);
  return rows[0]!.map((_, i) => {
    for (let k = 0; k < rows.length; k++) column[k] = rows[k]![i]!;
    return combine(column);
  });
}

/** `sha256:<hex>` of the file with these values. */
export function shiftDigest(values: readonly number[], elements: number): string {
  return digestOf(shiftFile(values, elements));
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

const siteNumber = (site: string): number => site.charCodeAt(0) - 'a'.charCodeAt(0);
export const shiftSamples = (site: string): number => siteNumber(site) ** 2 + 1;

function controlAfter(site: string, round: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (siteNumber(site) + 1) * 0.25 + round * 0.5 + (i % 5) * 0.125);
}

/** What a site makes of a model in a round. */
export function shiftUpdate(
  model: readonly number[],
  site: string,
  round: number,
  correction?: readonly number[],
): number[] {
  const step = (siteNumber(site) + 1) * 0.125 + round * 0.0625;
  return model.map((value, i) => Math.fround(value + (step * (1 + (i % 3)) + (correction?.[i] ?? 0))));
}

/** The sum of weight x value in site order, divided once by the sum of the weights: two roundings a site and one more. */
export function weightedMean(values: readonly number[], weights: readonly number[]): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < weights.length; i++) {
    sum += weights[i]! * values[i]!;
    total += weights[i]!;
  }
  return sum / total;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.floor(sorted.length / 2)]!) / 2;
}

/** Where a weight goes whose combined update is given; each keeps its own moments by index. */
type Optimiser = (index: number, model: number, combined: number) => number;

const replace = (): Optimiser => (_, __, combined) => combined;

const optimisers: Readonly<Record<ShiftRun['strategy'], () => Optimiser>> = {
  fedavg: replace,
  median: replace,
  scaffold: replace,
  fedavgm: () => {
    const velocity: number[] = [];
    return (i, model, combined) => {
      const v = 0.9 * (velocity[i] ?? 0) + (combined - model);
      velocity[i] = Math.fround(v);
      return model + v;
    };
  },
  fedadam: () => adaptive(0.9, (v, square) => 0.99 * v + (1 - 0.99) * square),
  fedyogi: () => adaptive(0.9, (v, square) => v - (1 - 0.99) * square * Math.sign(v - square)),
};

/** FedAdam and FedYogi with their default parameters. */
function adaptive(beta1: number, second: (v: number, square: number) => number): Optimiser {
  const [lr, tau] = [0.1, 1e-3];
  const firsts: number[] = [];
  const seconds: number[] = [];
  return (i, model, combined) => {
    const delta = combined - model;
    const m = beta1 * (firsts[i] ?? 0) + (1 - beta1) * delta;
    const v = second(seconds[i] ?? Math.fround(tau * tau), delta * delta);
    firsts[i] = Math.fround(m);
    seconds[i] = Math.fround(v);
    return model + (lr * m) / (Math.sqrt(v) + tau);
  };
}

/** The file of a model with these values, as the trainer writes it. */
export function shiftFile(values: readonly number[], elements: number): Buffer {
  const header = Buffer.from(
    `{"w":{"dtype":"F32","shape":[${elements}],"data_offsets":[0,${elements * 4}]},` +
      `"bias":{"dtype":"F32","shape":[3],"data_offsets":[${elements * 4},${elements * 4 + 12}]}}`,
  );
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.alloc(values.length * 4);
  for (let i = 0; i < values.length; i++) data.writeFloatLE(values[i]!, i * 4);
  return Buffer.concat([prefix, header, data]);
}
