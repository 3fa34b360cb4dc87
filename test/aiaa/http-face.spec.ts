import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { ENDPOINTS } from '../../aiaa/http/openapi';
import type { Endpoint, Schema } from '../../aiaa/http/openapi-endpoint';
import { OperatorAccess } from '../../aiaa/http/operator-access';
import { isForOperators } from '../../aiaa/http/request-path';
import type { AnnotationServer } from '../../aiaa/server';
import { exchange, jsonOf, plainRequest, sentenceOf } from './support/raw-http';
import { Site, SPLEEN } from './support/server';

const VIEWER = 'https://viewer.example.org';
const TABLE: readonly (readonly [string, Endpoint])[] = Object.entries<Endpoint>(ENDPOINTS);
const TOKEN = '0123456789abcdef0123';

describe('AIAA http face', () => {
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    await site.publish();
    server = await site.serve({ corsOrigins: [`${VIEWER}/`] });
  });
  after(() => site.clear());

  const send = (method: string, target: string, headers: readonly string[] = [], to = server) =>
    exchange(to.port, plainRequest(method, target, ['Content-Length: 0', 'Connection: close', ...headers]));
  const get = (target: string, headers: readonly string[] = [], to = server) => send('GET', target, headers, to);

  it('names the methods of every address in Allow, and refuses others with 405', async () => {
    const routes = new Map<string, string[]>();
    for (const [, { path, method }] of TABLE) routes.set(path, [...(routes.get(path) ?? []), method]);
    for (const [path, methods] of routes) {
      if (path === '/') continue;
      const target = path.replace(/\{\w+\}/g, 'x');
      for (const slashed of [target.replace(/\/$/, ''), `${target.replace(/\/$/, '')}/`]) {
        const listed = await send('OPTIONS', slashed);
        assert.equal(listed.status, 204, slashed);
        const allowed = listed.headers.get('allow')!.split(', ');
        assert.deepEqual(
          allowed.filter((method) => !['HEAD', 'OPTIONS'].includes(method)).sort(),
          [...methods].sort(),
          slashed,
        );
      }
      const wrong = await send('TRACE', target);
      assert.equal(wrong.status, 405, target);
      assert.match(wrong.headers.get('allow') ?? '', new RegExp(methods.join(', ')));
    }
    const sentence = sentenceOf(await send('DELETE', '/v1/models'));
    assert.equal(sentence, '/v1/models takes GET, not DELETE.');
  });

  it('answers HEAD as GET without the body', async () => {
    const reply = await exchange(server.port, plainRequest('HEAD', '/v1/models', ['Connection: close']));
    assert.equal(reply.status, 200);
    assert.equal(reply.body.length, 0);
  });

  it('says which endpoint was probably meant', async () => {
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ['POST', '/v1/segmentations', /Did you mean POST \/v1\/segmentation\?/],
      ['GET', '/models', /Did you mean GET \/v1\/models\?/],
      ['GET', '/doc', /Did you mean GET \/docs\/\?/],
    ];
    for (const [method, target, sentence] of cases) {
      const reply = await send(method, target);
      assert.equal(reply.status, 404, target);
      assert.match(sentenceOf(reply), sentence);
    }
    assert.doesNotMatch(sentenceOf(await get('/something/else')), /Did you mean/);
    assert.doesNotMatch(sentenceOf(await get('/metric')), /Did you mean GET \/metrics/);
  });

  it('lets the named viewer call, read what it needs, and read errors', async () => {
    const asking = [
      `Origin: ${VIEWER}`,
      'Access-Control-Request-Method: POST',
      'Access-Control-Request-Headers: content-type',
      'Access-Control-Request-Private-Network: true',
    ];
    const preflight = await send('OPTIONS', `/v1/segmentation?model=${SPLEEN}`, asking);
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('access-control-allow-origin'), VIEWER);
    assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/);
    assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /content-type/i);
    assert.equal(preflight.headers.get('access-control-allow-private-network'), 'true');
    const refused = await send('POST', '/v1/segmentation?model=nobody', [`Origin: ${VIEWER}`]);
    assert.equal(refused.status, 404);
    assert.equal(refused.headers.get('access-control-allow-origin'), VIEWER);
    assert.match(refused.headers.get('access-control-expose-headers') ?? '', /Content-Disposition.*Retry-After/);
    assert.equal(refused.headers.get('vary'), 'Origin');
  });

  it('tells other origins nothing, and no origin anything of what is for operators', async () => {
    const elsewhere = ['Origin: https://elsewhere.example', 'Access-Control-Request-Private-Network: true'];
    const preflight = await send('OPTIONS', '/v1/models', elsewhere);
    assert.equal(preflight.headers.get('access-control-allow-origin'), undefined);
    assert.equal(preflight.headers.get('access-control-allow-private-network'), undefined);
    for (const origin of [VIEWER, 'https://elsewhere.example']) {
      const reply = await get('/metrics', [`Origin: ${origin}`]);
      assert.equal(reply.status, 403);
      assert.equal(reply.headers.get('access-control-allow-origin'), undefined);
    }
  });

  it('refuses origins that no browser sends', async () => {
    for (const origin of ['viewer.example.org', 'https://viewer.example.org/ohif', 'ftp://a', '']) {
      await assert.rejects(site.serve({ corsOrigins: [origin] }), {
        code: 'invalid-input',
        message: /origin of a web page/,
      });
    }
  });

  it('answers clients below any of several secret prefixes, and operators at the root alone', async () => {
    const hidden = await site.serve({ pathPrefix: ['/a/t0ken', '/b/0ther/'] });
    for (const prefix of ['/a/t0ken', '/b/0ther']) {
      assert.equal((await get(`${prefix}/v1/models`, [], hidden)).status, 200);
      for (const target of [
        '/metrics',
        '/logs/',
        '/admin/model/x',
        '/train/',
        '/v1/logs',
        '//admin/',
        '/%61dmin/model/x',
      ]) {
        const reply = await get(`${prefix}${target}`, [], hidden);
        assert.equal(reply.status, 404, prefix + target);
        assert.doesNotMatch(sentenceOf(reply), /t0ken|0ther/);
      }
      const page = (await get(`${prefix}/docs/`, [], hidden)).body.toString('utf8');
      assert.match(page, new RegExp(`http://127.0.0.1:5000${prefix}/`));
      assert.doesNotMatch(page, /\/metrics/);
    }
    for (const target of ['/v1/models', '/docs/', '/openapi.json', '/a/0ther/v1/models', '/']) {
      assert.equal((await get(target, [], hidden)).status, 404, target);
    }
    for (const target of ['/metrics', '/logs/', '/health', '/health/live']) {
      assert.equal((await get(target, [], hidden)).status, 200, target);
    }
    for (const bad of ['/admin/x', '/health', '/metrics/t']) {
      await assert.rejects(site.serve({ pathPrefix: bad }), { code: 'invalid-input' });
    }
  });

  it('describes itself in an OpenAPI document that has every route', async () => {
    const document = jsonOf(await get('/openapi.json')) as {
      openapi: string;
      servers: { url: string }[];
      paths: Record<string, Record<string, Operation>>;
      components: { schemas: Record<string, Schema> };
    };
    assert.match(document.openapi, /^3\.1\./);
    assert.equal(document.servers[0].url, 'http://127.0.0.1:5000/');
    const found = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({ path, method, operation })),
    );
    assert.equal(found.length, TABLE.length);
    assert.equal(new Set(found.map(({ operation }) => operation.operationId)).size, TABLE.length);
    for (const { path, operation } of found) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name);
      assert.deepEqual(declared, named, path);
      assert.ok(Object.keys(operation.responses).length > 0, path);
    }
    for (const [, name] of JSON.stringify(document.paths).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      assert.ok(document.components.schemas[name], name);
    }
    assert.deepEqual((document.components.schemas.Model as { required: string[] }).required.sort(), [
      'description',
      'labels',
      'name',
      'type',
      'version',
    ]);
  });

  it('knows operators’ addresses in one way', () => {
    for (const [id, { path, audience }] of TABLE) assert.equal(isForOperators(path), audience === 'operator', id);
  });

  it('shows every endpoint of the table on its page', async () => {
    const page = (await get('/')).body.toString('utf8');
    for (const [id, { path, json }] of TABLE) {
      assert.ok(page.includes(`<code>${path}</code>`), id);
      for (const field of Object.keys((json?.properties ?? {}) as object)) {
        assert.ok(page.includes(`<code>${field}</code></th><td>JSON body</td>`), `${id}: ${field}`);
      }
    }
    assert.match(page, /What is deleted\. One of image, label, label_tag\./);
    assert.match(page, /One of stats, all, train\. Default: stats\./);
  });
});

describe('AIAA operators', () => {
  const request = (remoteAddress: string, headers: Record<string, string> = {}) =>
    ({ socket: { remoteAddress }, headers }) as unknown as IncomingMessage;
  const refused = (access: OperatorAccess, ...given: Parameters<typeof request>) => {
    try {
      access.check(request(...given));
      return undefined;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it('call from this machine unless other networks are named', () => {
    const local = new OperatorAccess();
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])
      assert.equal(refused(local, address), undefined, address);
    for (const address of ['10.0.0.1', '::ffff:10.0.0.1', 'fd00::1', '']) {
      assert.equal(refused(local, address), 'permission-denied', address);
    }
    const network = new OperatorAccess({ from: ['10.1.0.0/16', 'fd00::/8', '192.168.1.7'] });
    for (const address of ['10.1.255.3', '::ffff:10.1.0.9', 'fd12::1', '192.168.1.7'])
      assert.equal(refused(network, address), undefined, address);
    for (const address of ['10.2.0.1', '192.168.1.8', '127.0.0.1', 'fe80::1'])
      assert.equal(refused(network, address), 'permission-denied', address);
    assert.throws(() => local.check(request('10.0.0.1')), /from the server's own machine, or see --admin-from/);
    assert.throws(() => network.check(request('127.0.0.1')), /call from one that --admin-from names/);
  });

  it('are not believed to be here when a proxy or a web page asks for somebody', () => {
    const local = new OperatorAccess();
    const forwarded: readonly Record<string, string>[] = [
      { 'x-forwarded-for': '10.0.0.1' },
      { forwarded: 'for=10.0.0.1' },
      { via: '1.1 proxy' },
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { host: 'evil.example:5000' },
    ];
    for (const headers of forwarded)
      assert.equal(refused(local, '127.0.0.1', headers), 'permission-denied', JSON.stringify(headers));
    const own = { host: 'localhost:5000', origin: 'http://localhost:5000', 'sec-fetch-site': 'same-origin' };
    assert.equal(refused(local, '127.0.0.1', own), undefined);
  });

  it('need the token where there is one, also from this machine', () => {
    const guarded = new OperatorAccess({ token: TOKEN });
    assert.equal(refused(guarded, '127.0.0.1'), 'unauthenticated');
    assert.equal(refused(guarded, '127.0.0.1', { authorization: `Bearer ${TOKEN}x` }), 'unauthenticated');
    assert.equal(refused(guarded, '127.0.0.1', { authorization: `Basic ${TOKEN}` }), 'unauthenticated');
    assert.equal(refused(guarded, '127.0.0.1', { authorization: `Bearer ${TOKEN}` }), undefined);
    const behindProxy = { authorization: `Bearer ${TOKEN}`, 'x-forwarded-for': '10.0.0.1' };
    assert.equal(refused(guarded, '10.0.0.9', behindProxy), undefined);
    assert.equal(refused(guarded, '10.0.0.9', { authorization: `Bearer ${TOKEN}` }), 'permission-denied');
  });

  it('are known behind a load balancer that was named, by what it says itself', () => {
    const behind = new OperatorAccess({ from: ['10.1.0.0/16'], proxies: ['10.1.0.0/24'] });
    const from = (callers: string, more: Record<string, string> = {}) => ({ 'x-forwarded-for': callers, ...more });
    assert.equal(refused(behind, '10.1.0.7', from('10.1.9.9')), undefined);
    assert.equal(refused(behind, '::ffff:10.1.0.7', from('203.0.113.5, 10.1.9.9')), undefined);
    for (const [peer, headers] of [
      ['10.1.0.7', from('203.0.113.5')],
      // What stands before the last address is what the caller says.
      ['10.1.0.7', from('10.1.9.9, 203.0.113.5')],
      ['10.1.0.7', from('')],
      ['10.1.0.7', from('10.1.9.9', { via: '1.1 proxy' })],
      ['10.1.9.9', from('10.1.9.9')],
    ] as const) {
      assert.equal(refused(behind, peer, headers), 'permission-denied', `${peer} ${JSON.stringify(headers)}`);
    }
    assert.equal(refused(behind, '10.1.9.9'), undefined);
    const guarded = new OperatorAccess({ from: ['10.1.0.0/16'], proxies: ['10.1.0.0/24'], token: TOKEN });
    const token = { authorization: `Bearer ${TOKEN}` };
    assert.equal(refused(guarded, '10.1.0.7', from('10.1.9.9', token)), undefined);
    assert.equal(refused(guarded, '10.1.0.7', from('203.0.113.5', token)), 'permission-denied', 'a token that got out');
  });

  it('are refused settings that would let in nobody or everybody', () => {
    for (const network of ['10.0.0.0/33', 'localhost', '10.0.0.0/8/1', '10.0.0.1/x', '::/129']) {
      assert.throws(() => new OperatorAccess({ from: [network] }), { code: 'invalid-input' }, network);
      assert.throws(() => new OperatorAccess({ proxies: [network] }), { code: 'invalid-input' }, network);
    }
    assert.throws(() => new OperatorAccess({ token: 'short' }), /16 or more/);
  });
});

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}
