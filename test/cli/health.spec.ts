import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EXIT } from '../../base/exit-codes';
import { healthCommand } from '../../cli/commands/health';
import { Program } from '../support/program';

describe('clara-fed health', () => {
  let server: Server;
  let answer: (response: ServerResponse) => void;
  const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
  const ask = (...args: readonly string[]) => healthCommand().parseAsync(['node', 'health', ...args]);

  before(async () => {
    server = createServer((_request, response) => answer(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  it('ends with 0 and the sentence of a service that works', async () => {
    answer = (response) => response.end('{"status":"ok","detail":"All is well.","models":3}');
    const { code, stdout } = await new Program(['health', '--url', url(), '--json']).ended;
    assert.equal(code, EXIT.ok);
    assert.deepEqual(JSON.parse(stdout), { event: 'health', url: url(), status: 'ok', detail: 'All is well.' });
  });

  for (const [what, status, text, message] of [
    [
      'says that it does not work',
      503,
      '{"status":"failing","detail":"No model answers."}',
      /answers 503: No model answers\.$/,
    ],
    ['says two things at once', 503, '{"status":"ok","detail":"Fine."}', /answers 503: Fine\.$/],
    [
      'is something else',
      200,
      '<html>',
      /answers 200, and nothing that a service of clara-fed says; check the address$/,
    ],
    ['talks without end', 200, `"${'x'.repeat(1 << 20)}"`, /nothing that a service of clara-fed says/],
  ] as const) {
    it(`takes a service for broken that ${what}`, async () => {
      answer = (response) => response.writeHead(status).end(text);
      await assert.rejects(ask('--url', url()), { code: 'unavailable', message });
    });
  }

  it('waits no longer than it was told', async () => {
    answer = () => undefined;
    await assert.rejects(ask('--url', url(), '--timeout', '1'), {
      code: 'unavailable',
      message: /nothing within 1 s$/,
    });
  });

  it('refuses what is no address, and no time', async () => {
    for (const wrong of ['localhost', 'file:///etc/passwd']) {
      await assert.rejects(ask('--url', wrong), { code: 'invalid-input' });
    }
    await assert.rejects(ask('--url', url(), '--timeout', '0'), { code: 'invalid-input' });
  });
});
