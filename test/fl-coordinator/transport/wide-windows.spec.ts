import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import http2 from 'node:http2';
import { WINDOW_BYTES } from '../../../federation/channel';
import { makeChunk } from '../../../federation/chunk-codec';
import { Federation } from '../../../federation/gen/federation/v1/federation_pb';
import { siteIdentity } from '../../../federation/identity';
import { serve } from '../../../federation/service-handlers';
import { clientOf } from '../../../federation/services';
import { received, sender } from '../../../federation/stream-flow';
import { startSecureServer } from '../../../fl-coordinator/transport/mtls-server';
import { standstill } from '../../support/until';
import { FEDERATION, FederationFixture, issueDirectly } from '../trust/support/federation-fixture';
import { transfersOnly } from './support/transfers-only';

const MIB = 2 ** 20;
const CHUNKS = 256;

describe('HTTP/2 windows', () => {
  let fed: FederationFixture;
  let port: number;
  let credentials: Awaited<ReturnType<typeof issueDirectly>>;
  /** Chunks that the server has put into the stream of a download, or taken out of that of an upload. */
  let moved: number;
  let session: http2.ServerHttp2Session | undefined;
  const gate = new EventEmitter();
  const chunk = makeChunk(0, Buffer.alloc(MIB, 7));

  const handlers = transfersOnly({
    download: async function* () {
      try {
        for (moved = 0; moved < CHUNKS; moved++) yield chunk;
      } finally {
        gate.emit('download left');
      }
    },
    upload: async (chunks) => {
      await once(gate, 'open');
      for await (const _ of chunks) moved++;
      return { size: BigInt(moved * MIB) };
    },
  });

  beforeEach(async () => {
    fed = await FederationFixture.open();
    moved = 0;
    const { keyPem, chainPem, rootsPem } = await fed.trust.authority.issueForServer(['localhost']);
    const server = await startSecureServer({
      host: '127.0.0.1',
      port: 0,
      material: { keyPem, chainPem, rootsPem },
      onSession: (opened) => {
        session = opened;
      },
      register: (grpc) => serve(grpc, Federation, handlers, { admit: () => undefined }),
    });
    port = server.port;
    fed.later(() => server.stop(0));
    credentials = await issueDirectly(fed.trust, siteIdentity(FEDERATION, 'st-marys'));
  });
  afterEach(() => fed.close());

  it('are wide at the server for streams and for the connection, as a plain HTTP/2 client sees them', async () => {
    const { keyPem: key, chainPem: cert, rootsPem: ca } = credentials;
    const client = http2.connect(`https://localhost:${port}`, { key, cert, ca });
    const [settings] = await once(client, 'remoteSettings');
    // The answer to a ping comes after whatever the server sent when the connection began.
    await new Promise((resolve) => client.ping(resolve));
    const { remoteWindowSize } = client.state;
    client.destroy();
    assert.equal(settings.initialWindowSize, WINDOW_BYTES);
    assert.equal(remoteWindowSize, WINDOW_BYTES);
  });

  it('are wide at our clients, as the server sees them', async () => {
    await clientOf(Federation, fed.channel(port, credentials)).uploadStatus({});
    assert.equal(session?.remoteSettings.initialWindowSize, WINDOW_BYTES);
    // The reply's few bytes have been taken off.
    assert.ok((session?.state.remoteWindowSize ?? 0) > WINDOW_BYTES - 1024);
  });

  it('are let go when the reader leaves a download early', async () => {
    const call = clientOf(Federation, fed.channel(port, credentials)).download({});
    for await (const _ of received(call)) break;
    await once(gate, 'download left');
    assert.ok(moved < CHUNKS);
  });

  it('stop a download whose reader has stopped, with a bounded number of chunks in memory', async () => {
    const call = clientOf(Federation, fed.channel(port, credentials)).download({});
    const reader = received(call)[Symbol.asyncIterator]();
    await reader.next();
    await standstill(() => moved);
    // Both ends' windows and write-ahead, and what the reader's stream holds (16 messages), far from 256.
    assert.ok(moved >= WINDOW_BYTES / MIB && moved <= 64, `${moved} chunks of 1 MiB left the server's handler`);
    let rest = 1;
    while (!(await reader.next()).done) rest++;
    assert.equal(rest, CHUNKS);
  });

  it('stop an upload whose reader has stopped, with a bounded number of chunks in memory', async () => {
    const { stream, reply } = clientOf(Federation, fed.channel(port, credentials)).upload();
    const send = sender(stream);
    let sent = 0;
    const writing = (async () => {
      for (; sent < CHUNKS; sent++) await send(chunk);
      stream.end();
    })();
    await standstill(() => sent);
    assert.ok(sent >= WINDOW_BYTES / MIB && sent <= 64, `${sent} chunks of 1 MiB left the client`);
    gate.emit('open');
    await writing;
    assert.equal((await reply).size, BigInt(CHUNKS * MIB));
  });
});
