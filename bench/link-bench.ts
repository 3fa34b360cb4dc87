import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openChannel } from '../federation/channel';
import { CHUNK_BYTES, makeChunk, type WireChunk } from '../federation/chunk-codec';
import { Federation } from '../federation/gen/federation/v1/federation_pb';
import { type ServiceHandlers, serve } from '../federation/service-handlers';
import { clientOf } from '../federation/services';
import { received, sender } from '../federation/stream-flow';
import { openDirectoryStore } from '../fl-coordinator/storage/directory-store';
import { startSecureServer } from '../fl-coordinator/transport/mtls-server';
import { CertificateAuthority } from '../fl-coordinator/trust/certificate-authority';
import { bootstrapOperator } from '../fl-coordinator/trust/enrolment';
import { operatorInFolder } from '../fl-coordinator/trust/operator-home';
import { openTrust } from '../fl-coordinator/trust/trust';

export interface LinkCase {
  readonly rttMillis: number;
  readonly mib: number;
}

export interface LinkResult extends LinkCase {
  readonly case: 'link';
  /** Megabytes (10^6 bytes) a second. */
  readonly upMBPerSecond: number;
  readonly downMBPerSecond: number;
}

/** The transport of the federation, both ends as in production, through a delay. The bytes are made and dropped in memory. */
export async function benchLink({ rttMillis, mib }: LinkCase): Promise<LinkResult> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'clara-link-'));
  const bytes = mib * 2 ** 20;
  const store = await openDirectoryStore(path.join(folder, 'store'));
  const authority = await CertificateAuthority.open(path.join(folder, 'trust'), { federation: 'bench' });
  const trust = await openTrust({ authority, store });
  const credentials = await bootstrapOperator(trust, {
    name: 'bench',
    role: 'admin',
    home: operatorInFolder(path.join(folder, 'operator')),
  });
  const { keyPem, chainPem, rootsPem } = await trust.authority.issueForServer(['localhost']);
  const server = await startSecureServer({
    host: '127.0.0.1',
    port: 0,
    material: { keyPem, chainPem, rootsPem },
    register: (grpcServer) => serve(grpcServer, Federation, handlers(bytes), { admit: () => undefined }),
  });
  const proxy = fork(path.join(__dirname, `delay-proxy${path.extname(__filename)}`), [], {
    execArgv: process.execArgv,
  });
  proxy.send({ target: server.port, delayMillis: rttMillis / 2 });
  const [port] = (await once(proxy, 'message')) as [number];
  const channel = openChannel({ address: `localhost:${port}`, credentials });
  try {
    const client = clientOf(Federation, channel);
    await client.uploadStatus({});
    const up = await timed(async () => {
      const { stream, reply } = client.upload();
      const send = sender<WireChunk>(stream);
      for (const chunk of chunks(bytes)) await send(chunk);
      stream.end();
      await reply;
    });
    const down = await timed(async () => {
      let arrived = 0;
      for await (const chunk of received(client.download({}))) arrived += chunk.data.length;
      if (arrived !== bytes) throw new Error(`${arrived} of ${bytes} bytes arrived`);
    });
    const rate = (seconds: number) => Number((bytes / 1e6 / seconds).toFixed(1));
    return { case: 'link', rttMillis, mib, upMBPerSecond: rate(up), downMBPerSecond: rate(down) };
  } finally {
    channel.close();
    proxy.kill();
    await server.stop(0);
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const DATA = Buffer.alloc(CHUNK_BYTES, 7);

function* chunks(bytes: number): Generator<WireChunk> {
  for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
    yield makeChunk(offset, DATA.subarray(0, Math.min(CHUNK_BYTES, bytes - offset)));
  }
}

function handlers(bytes: number): ServiceHandlers<typeof Federation, undefined> {
  const unused = async (): Promise<never> => {
    throw new Error('not part of this benchmark');
  };
  return {
    connect: unused,
    renew: unused,
    probe: unused,
    uploadStatus: async () => ({}),
    async *download() {
      yield* chunks(bytes);
    },
    upload: async (messages) => {
      for await (const _ of messages);
      return {};
    },
  };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
