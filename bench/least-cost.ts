import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { cpuSecondsSince } from './process-usage';
import type { TlsPair } from './tls-pair';

const MIB = 2 ** 20;
const TOTAL_MIB = 256;

/**
 * Processor seconds that a coordinator spends on a GiB moved, half of it up and half down, even if HTTP/2, gRPC, checksums,
 * aggregation and its own program were for nothing: one end of the TLS pair, and for what comes up SHA-256, one writing to the
 * file of the update and one reading for the aggregation. Measured on this machine in the same run, as the pair is.
 *
 * @param folder where the files lie; reading comes from memory, as it does right after writing
 */
export async function leastCpuSecondsPerGiB(folder: string, pair: TlsPair): Promise<number> {
  const up = cpuSecondsPerGiB(hashOnce) + (await fileSecondsPerGiB(folder));
  return pair.cpuSecondsPerGiB / 2 + up / 2;
}

const piece = Buffer.alloc(MIB, 7);

function hashOnce(): void {
  const hash = createHash('sha256');
  for (let i = 0; i < TOTAL_MIB; i++) hash.update(piece);
  hash.digest();
}

function cpuSecondsPerGiB(work: () => void): number {
  const before = process.cpuUsage();
  work();
  return perGiB(cpuSecondsSince(before));
}

async function fileSecondsPerGiB(folder: string): Promise<number> {
  const name = path.join(folder, 'least-cost');
  const file = await open(name, 'w+');
  try {
    const before = process.cpuUsage();
    for (let i = 0; i < TOTAL_MIB; i++) await file.write(piece, 0, MIB, i * MIB);
    const target = Buffer.alloc(MIB);
    for (let i = 0; i < TOTAL_MIB; i++) await file.read(target, 0, MIB, i * MIB);
    return perGiB(cpuSecondsSince(before));
  } finally {
    await file.close();
    await rm(name, { force: true });
  }
}

function perGiB(cpuSeconds: number): number {
  return cpuSeconds * (1024 / TOTAL_MIB);
}
