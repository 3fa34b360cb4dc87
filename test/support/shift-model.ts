import { createHash } from 'node:crypto';
import path from 'node:path';

/**
 * What a run with the trainer of shift-trainer.cjs must end with, computed in plain float64 from the definitions of the
 * strategies (federation/strategy.ts): means over the sites in site order, float32 only where a value is kept.
 */

export const SHIFT_TRAINER = path.join(__dirname, 'shift-trainer.cjs');

export interface ShiftRun {
  readonly strategy: 'fedavg' | 'fedavgm' | 'fedadam' | 'median';
  readonly elements: number;
  /** The sites that contribute to each round; each is one letter. */
  readonly rounds: readonly (readonly string[])[];
}

export function shiftModel({ strategy, elements, rounds }: ShiftRun): {
  readonly bytes: Buffer;
  readonly digest: string;
} {
  let model = [...Array.from({ length: elements }, (_, i) => ((i % 13) - 6) / 4), 0.5, -1, 2].map(Math.fround);
  const optimiser = optimisers[strategy]();
  rounds.forEach((sites, index) => {
    const updates = sites.map((site) => trained(model, site, index + 1));
    const combined = model.map((_, i) => {
      const column = updates.map((update) => update[i]!);
      return strategy === 'median' ? median(column) : weightedMean(column, sites.map(samplesOf));
    });
    model = combined.map((value, i) => Math.fround(optimiser(i, model[i]!, value)));
  });
  const bytes = encode(model, elements);
  return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
}

const siteNumber = (site: string): number => site.charCodeAt(0) - 'a'.charCodeAt(0);
const samplesOf = (site: string): number => siteNumber(site) ** 2 + 1;

function trained(model: readonly number[], site: string, round: number): number[] {
  const step = (siteNumber(site) + 1) * 0.125 + round * 0.0625;
  return model.map((value, i) => Math.fround(value + step * (1 + (i % 3))));
}

function weightedMean(values: readonly number[], samples: readonly number[]): number {
  const total = samples.reduce((sum, n) => sum + n, 0);
  return values.reduce((sum, value, i) => sum + (samples[i]! / total) * value, 0);
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
  fedavgm: () => {
    const velocity: number[] = [];
    return (i, model, combined) => {
      const v = 0.9 * (velocity[i] ?? 0) + (combined - model);
      velocity[i] = Math.fround(v);
      return model + v;
    };
  },
  fedadam: () => {
    const [lr, beta1, beta2, tau] = [0.1, 0.9, 0.99, 1e-3];
    const first: number[] = [];
    const second: number[] = [];
    return (i, model, combined) => {
      const delta = combined - model;
      const m = beta1 * (first[i] ?? 0) + (1 - beta1) * delta;
      const v = beta2 * (second[i] ?? Math.fround(tau * tau)) + (1 - beta2) * delta * delta;
      first[i] = Math.fround(m);
      second[i] = Math.fround(v);
      return model + (lr * m) / (Math.sqrt(v) + tau);
    };
  },
};

function encode(values: readonly number[], elements: number): Buffer {
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
