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

export function shiftModel({ strategy, elements, rounds, start, wire }: ShiftRun): {
  readonly bytes: Buffer;
  readonly digest: string;
} {
  const first = [...Array.from({ length: elements }, (_, i) => ((i % 13) - 6) / 4), 0.5, -1, 2].map(Math.fround);
  let model = start ? first.map((_, i) => start.readFloatLE(start.length - (first.length - i) * 4)) : first;
  const optimiser = optimisers[strategy]();
  // SCAFFOLD: what each site kept, and the mean of it, weighed like updates; all sites take part in each round.
  const own = new Map<string, readonly number[]>();
  let all: readonly number[] = model.map(() => 0);
  rounds.forEach((sites, index) => {
    const base = wire ? wire.down(model) : model;
    const updates = sites.map((site) => {
      const control = own.get(site) ?? model.map(() => 0);
      const correction = strategy === 'scaffold' ? all.map((value, i) => -0.5 * (value - control[i]!)) : undefined;
      const update = shiftUpdate(base, site, index + 1, correction);
      return wire ? wire.up(update, base, site) : update;
    });
    for (const site of sites) own.set(site, controlAfter(site, index + 1, model.length));
    all = model.map((_, i) =>
      Math.fround(
        weightedMean(
          sites.map((site) => own.get(site)![i]!),
          sites.map(shiftSamples),
        ),
      ),
    );
    const combined = model.map((_, i) => {
      const column = updates.map((update) => update[i]!);
      return strategy === 'median' ? median(column) : weightedMean(column, sites.map(shiftSamples));
    });
    model = combined.map((value, i) => Math.fround(optimiser(i, base[i]!, value)));
  });
  const bytes = shiftFile(model, elements);
  return { bytes, digest: digestOf(bytes) };
}

/** What the trainer starts from. */
export function initialShiftModel(elements: number): number[] {
  return [...Array.from({ length: elements }, (_, i) => ((i % 13) - 6) / 4), 0.5, -1, 2].map(Math.fround);
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
  correction: readonly number[] = model.map(() => 0),
): number[] {
  const step = (siteNumber(site) + 1) * 0.125 + round * 0.0625;
  return model.map((value, i) => Math.fround(value + (step * (1 + (i % 3)) + correction[i]!)));
}

/** The sum of weight x value in site order, divided once by the sum of the weights: two roundings a site and one more. */
export function weightedMean(values: readonly number[], weights: readonly number[]): number {
  let [sum, total] = [0, 0];
  for (const [i, weight] of weights.entries()) {
    sum += weight * values[i]!;
    total += weight;
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
  for (const [i, value] of values.entries()) data.writeFloatLE(value, i * 4);
  return Buffer.concat([prefix, header, data]);
}
