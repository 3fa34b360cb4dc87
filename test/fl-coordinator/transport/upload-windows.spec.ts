import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import http2 from 'node:http2';
import fc from 'fast-check';
import { WINDOW_BYTES } from '../../../federation/channel';
import { makeChunk } from '../../../federation/chunk-codec';
import { Federation } from '../../../federation/gen/federation/v1/federation_pb';
import { siteIdentity } from '../../../federation/identity';
import { serve } from '../../../federation/service-handlers';
import { clientOf, wireMethods } from '../../../federation/services';
import { sender } from '../../../federation/stream-flow';
import { startSecureServer } from '../../../fl-coordinator/transport/mtls-server';
import { uploadWindow } from '../../../fl-coordinator/transport/upload-windows';
import { standstill, until } from '../../support/until';
import { FEDERATION, FederationFixture, issueDirectly } from '../trust/support/federation-fixture';
import { transfersOnly } from './support/transfers-only';

const MIB = 2 ** 20;
const CLIENTS = 16;

describe('the windows of uploads', () => {
  it('are wide for a few, never below a mebibyte, and together bounded up to the number where each has the least', () => {
    assert.equal(uploadWindow(0, WINDOW_BYTES), WINDOW_BYTES);
    assert.equal(uploadWindow(4, WINDOW_BYTES), 8 * MIB);
    assert.equal(uploadWindow(8, WINDOW_BYTES), 4 * MIB);
    assert.equal(uploadWindow(32, WINDOW_BYTES), MIB);
    fc.assert(
      fc.property(fc.nat(5000), (uploads) => {
        const window = uploadWindow(uploads, WINDOW_BYTES);
        assert.ok(window >= MIB && window <= WINDOW_BYTES);
        assert.ok(uploads > 32 || window * uploads <= 32 * MIB);
      }),
    );
  });

  describe('of a server', () => {
    let fed: FederationFixture;
    let port: number;
    let credentials: Awaited<ReturnType<typeof issueDirectly>>;
    let begun: number;
    const gate = new EventEmitter().setMaxListeners(0);
    const chunk = makeChunk(0, Buffer.alloc(MIB, 7));

    const handlers = transfersOnly({
      upload: async (chunks) => {
        begun++;
        await once(gate, 'open');
        let bytes = 0;
        for await (const { data } of chunks) bytes += data.length;
        return { size: BigInt(bytes) };
      },
    });

    beforeEach(async () => {
      fed = await FederationFixture.open();
      begun = 0;
      const { keyPem, chainPem, rootsPem } = await fed.trust.authority.issueForServer(['localhost']);
      const server = await startSecureServer({
        host: '127.0.0.1',
        port: 0,
        material: { keyPem, chainPem, rootsPem },
        uploads: [wireMethods(Federation).upload.path],
        register: (grpc) => serve(grpc, Federation, handlers, { admit: () => undefined }),
      });
      port = server.port;
      fed.later(() => server.stop(0));
      credentials = await issueDirectly(fed.trust, siteIdentity(FEDERATION, 'st-marys'));
    });
    afterEach(() => fed.close());

    it('bound what stalled uploads keep in its memory together, and all of it arrives when they go on', async () => {
      const { keyPem: key, chainPem: cert, rootsPem: ca } = credentials;
      const bystander = http2.connect(`https://localhost:${port}`, { key, cert, ca });
      fed.later(async () => bystander.destroy());
      await once(bystander, 'remoteSettings');
      const told = (): number => bystander.remoteSettings.initialWindowSize ?? 0;

      const uploads = Array.from({ length: CLIENTS }, () => {
        const { stream, reply } = clientOf(Federation, fed.channel(port, credentials)).upload();
        return { stream, reply, send: sender(stream), sent: 0 };
      });
      for (const upload of uploads) {
        await upload.send(chunk);
        upload.sent++;
      }
      await until(() => begun === CLIENTS && told() === 2 * MIB, 'all uploads have begun and windows are narrow');

      const more = 14;
      const writing = uploads.map(async (upload) => {
        for (let i = 0; i < more; i++) {
          await upload.send(chunk);
          upload.sent++;
        }
        upload.stream.end();
      });
      const sum = () => uploads.reduce((all, { sent }) => all + sent, 0);
      await standstill(sum);
      // A window of 2 MiB, what waits in the client and in the sockets between: wide windows would take all 240.
      assert.ok(sum() <= CLIENTS * 8, `${sum()} chunks of 1 MiB left the clients`);

      gate.emit('open');
      await Promise.all(writing);
      for (const { reply } of uploads) assert.equal((await reply).size, BigInt((1 + more) * MIB));
      await until(() => told() === WINDOW_BYTES, 'windows are wide again');
    });

    it('are wide again after uploads that end in every way, and connections that go with theirs', async () => {
      const { keyPem: key, chainPem: cert, rootsPem: ca } = credentials;
      const dial = async () => {
        const session = http2.connect(`https://localhost:${port}`, { key, cert, ca });
        session.on('error', () => {});
        fed.later(async () => session.destroy());
        await once(session, 'remoteSettings');
        return session;
      };
      const bystander = await dial();
      const told = (): number => bystander.remoteSettings.initialWindowSize ?? 0;
      const begin = (session: http2.ClientHttp2Session, count: number) =>
        Array.from({ length: count }, () => {
          const stream = session.request({
            ':method': 'POST',
            ':path': wireMethods(Federation).upload.path,
            'content-type': 'application/grpc',
            te: 'trailers',
          });
          return stream.on('error', () => {});
        });
      for (let i = 0; i < 3; i++) {
        const [cut, cancelled, refused, stillborn] = await Promise.all([dial(), dial(), dial(), dial()]);
        begin(cut!, 20);
        const open = begin(cancelled!, 20);
        // No message of this service: each is answered, and ended, by the server.
        for (const stream of begin(refused!, 20)) stream.end(Buffer.alloc(5 + 3, 1));
        await until(() => told() === MIB, 'windows are narrow');
        // Gone in the packet that begins them.
        for (const stream of begin(stillborn!, 20)) stream.close(http2.constants.NGHTTP2_CANCEL);
        for (const stream of open) stream.close(http2.constants.NGHTTP2_CANCEL);
        cut!.destroy();
        gate.emit('open');
        refused!.destroy();
        await until(() => told() === WINDOW_BYTES, 'windows are wide again');
      }
    });
  });
});
