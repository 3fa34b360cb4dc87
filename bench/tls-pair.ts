import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { makeKeyPair, privateKeyPem, SIGNING_ALGORITHM } from '../federation/certificates';
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '../federation/x509';

/**
 * The yardstick: one raw TLS connection between two processes of this machine, with the same certificates and nothing on top
 * of it. Rounds are judged by their ratio to it, since machines differ.
 */

const PIECE = Buffer.alloc(2 ** 20, 7);

export interface TlsPair {
  readonly mibPerSecond: number;
  /** Of both ends together. */
  readonly cpuSecondsPerGiB: number;
}

/** Machines that others use too change their speed within seconds: the medians of several transfers. */
export function medianPair(pairs: readonly TlsPair[]): TlsPair {
  const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
  return {
    mibPerSecond: median(pairs.map(({ mibPerSecond }) => mibPerSecond)),
    cpuSecondsPerGiB: median(pairs.map(({ cpuSecondsPerGiB }) => cpuSecondsPerGiB)),
  };
}

/** Moves this much from a sending process to this one. */
export async function tlsPair(mib = 512): Promise<TlsPair> {
  const { key, cert } = await selfSigned();
  const server = createServer({ key, cert, minVersion: 'TLSv1.3' });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sender: ChildProcess = fork(__filename, [], { execArgv: process.execArgv });
  try {
    sender.send({ port: (server.address() as AddressInfo).port, ca: cert, mib });
    const [socket] = (await once(server, 'secureConnection')) as [NodeJS.ReadableStream];
    const started = performance.now();
    const cpuBefore = process.cpuUsage();
    const told = once(sender, 'message');
    let received = 0;
    for await (const piece of socket) received += (piece as Buffer).length;
    const seconds = (performance.now() - started) / 1000;
    const own = process.cpuUsage(cpuBefore);
    const [sending] = (await told) as [NodeJS.CpuUsage];
    const cpuSeconds = (own.user + own.system + sending.user + sending.system) / 1e6;
    const gib = received / 2 ** 30;
    return { mibPerSecond: (gib * 1024) / seconds, cpuSecondsPerGiB: cpuSeconds / gib };
  } finally {
    server.close();
    sender.kill();
  }
}

interface Order {
  readonly port: number;
  readonly ca: string;
  readonly mib: number;
}

async function send({ port, ca, mib }: Order): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca, minVersion: 'TLSv1.3' });
  await once(socket, 'secureConnect');
  const before = process.cpuUsage();
  for (let i = 0; i < mib; i++) if (!socket.write(PIECE)) await once(socket, 'drain');
  socket.end();
  await once(socket, 'finish');
  process.send?.(process.cpuUsage(before));
}

async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const keys = await makeKeyPair();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
  });
  return { key: await privateKeyPem(keys), cert: certificate.toString('pem') };
}

if (require.main === module) process.once('message', (order) => void send(order as Order));
