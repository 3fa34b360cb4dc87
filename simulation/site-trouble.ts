import { setTimeout as delay } from 'node:timers/promises';
import { ClaraError } from '../base/errors';
import { readFile, rename, writeFile } from '../base/files';
import { deriveSeed, seededRandom } from '../base/random';
import { parseHeader } from '../federation/tensors/header';

/** What goes wrong at simulated sites, on purpose. Who it hits follows from the seed, whatever the order of things. */
export interface Trouble {
  readonly seed: number;
  /** Chance of a site to fail a round of training. */
  readonly drop: number;
  /** Share of sites that take longer, in every round, and by how much. */
  readonly slow?: { readonly share: number; readonly millis: number } | undefined;
  /** Sites that send something else than they have learned. */
  readonly attack?: Attack | undefined;
}

export const ATTACKS = ['sign-flip', 'noise'] as const;

/**
 * What a hostile site sends instead of its update u, when the round started from x:
 * - sign-flip: x - scale (u - x), away from where its data want to go;
 * - noise: x + scale d g / sqrt(n), with d the length of u - x and g standard normal in all n numbers: a step of no direction.
 */
export interface Attack {
  readonly kind: (typeof ATTACKS)[number];
  readonly sites: readonly string[];
  readonly scale: number;
}

/** @throws ClaraError `trainer-failed` when the site is to fail this round */
export function mayDrop({ seed, drop }: Trouble, round: number, site: string): void {
  if (drop === 0) return;
  const draw = seededRandom(deriveSeed('simulated failure', seed, round, site)).uniform();
  if (draw >= drop) return;
  throw new ClaraError('trainer-failed', `simulated failure of ${site} in round ${round}`);
}

/** Waits as long as a slow site takes; not at all at others. */
export async function maySlow({ seed, slow }: Trouble, site: string, signal: AbortSignal): Promise<void> {
  if (!slow || seededRandom(deriveSeed('simulated slowness', seed, site)).uniform() >= slow.share) return;
  await delay(slow.millis, undefined, { signal });
}

/** Puts something else in the place of an update; nothing at honest sites. Tensors of other types than F32 stay. */
export async function mayCorrupt(
  { seed, attack }: Trouble,
  { site, round, model, update }: { site: string; round: number; model: string; update: string },
): Promise<void> {
  if (!attack?.sites.includes(site)) return;
  const [before, after] = await Promise.all([readFile(model), readFile(update)]);
  const [old, own] = [parseHeader(before), parseHeader(after)];
  const random = seededRandom(deriveSeed('simulated attack', seed, round, site));
  for (const { name, dtype, begin, end } of own.tensors) {
    const same = old.tensors.find((tensor) => tensor.name === name);
    if (dtype !== 'F32' || same === undefined) continue;
    const from = floats(before, old.headerBytes.length + same.begin, end - begin);
    const to = floats(after, own.headerBytes.length + begin, end - begin);
    corrupt(attack, from, to, random.normal);
    Buffer.from(to.buffer, to.byteOffset, to.byteLength).copy(after, own.headerBytes.length + begin);
  }
  await writeFile(`${update}.partial`, after);
  await rename(`${update}.partial`, update);
}

function corrupt({ kind, scale }: Attack, from: Float32Array, to: Float32Array, normal: () => number): void {
  if (kind === 'sign-flip') {
    for (let i = 0; i < to.length; i++) to[i] = from[i]! - scale * (to[i]! - from[i]!);
    return;
  }
  let squares = 0;
  for (let i = 0; i < to.length; i++) squares += (to[i]! - from[i]!) ** 2;
  const step = scale * Math.sqrt(squares / Math.max(to.length, 1));
  for (let i = 0; i < to.length; i++) to[i] = from[i]! + step * normal();
}

/** A copy, since tensors of a file need not be aligned. */
function floats(file: Buffer, begin: number, bytes: number): Float32Array {
  return new Float32Array(file.buffer.slice(file.byteOffset + begin, file.byteOffset + begin + bytes));
}
