import assert from 'node:assert/strict';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { Health } from '../../../fl-coordinator/transport/health';

describe('health', () => {
  it('is NOT_SERVING until it is switched, as any client of grpc.health.v1 sees it', async () => {
    const server = new Server();
    const health = new Health();
    health.addTo(server);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    // HealthCheckRequest is empty for the whole server; HealthCheckResponse is field 1, varint: 1 SERVING, 2 NOT_SERVING.
    const check = (): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const empty = (): Buffer => Buffer.alloc(0);
        const raw = (bytes: Buffer): Buffer => bytes;
        client.makeUnaryRequest('/grpc.health.v1.Health/Check', empty, raw, {}, (error, reply) =>
          error ? reject(error) : resolve(reply!),
        );
      });
    try {
      assert.deepEqual([...(await check())], [8, 2]);
      health.setServing(true);
      assert.deepEqual([...(await check())], [8, 1]);
      health.setServing(false);
      assert.deepEqual([...(await check())], [8, 2]);
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
});
