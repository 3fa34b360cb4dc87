import assert from 'node:assert/strict';
import { type CloudCall, CloudError } from './provider/cloud';
import { RealEngine, withoutCli } from './real-engine';

const STACK = 'small';

describe("a site's storage that AWS refuses at every resource, on the real engine", function () {
  this.timeout(300_000);
  let engine: RealEngine;
  before(async function () {
    const opened = await RealEngine.open('site-storage.ts');
    if (opened === undefined) {
      withoutCli();
      return this.skip();
    }
    engine = opened;
  });
  after(() => engine?.close());

  /** Fails each resource the first time; every second one after it has been made. */
  function failEachOnce(operation: CloudCall['operation']): ReadonlySet<string> {
    const failed = new Set<string>();
    engine.cloud.before = (call) => {
      if (call.operation !== operation || failed.has(call.urn)) return;
      failed.add(call.urn);
      throw new CloudError('ThrottlingException: Rate exceeded', operation === 'create' && failed.size % 2 === 0);
    };
    return failed;
  }

  /** Calls until it succeeds; each call must come further than the one before. @returns how many failed */
  async function untilDone(verb: 'up' | 'destroy', failed: ReadonlySet<string>): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      const before = failed.size;
      try {
        await engine.run(verb, STACK);
        return attempt;
      } catch (error) {
        assert.match(String(error), /ThrottlingException/);
        assert.ok(failed.size > before, 'the call came no further than the one before');
      }
    }
  }

  it('is whole after some more calls: everything once, nothing lost, nothing twice', async () => {
    const failed = failEachOnce('create');
    const attempts = await untilDone('up', failed);
    assert.ok(attempts > 1);
    const urns = engine
      .state(STACK)
      .filter(({ type, custom }) => custom && type.startsWith('aws:'))
      .map(({ urn }) => urn)
      .sort();
    assert.deepEqual([...failed].sort(), urns);
    assert.deepEqual(engine.cloud.objects.map(({ urn }) => urn).sort(), urns);
    engine.cloud.before = () => {};
    const { create, update, replace } = await engine.run('preview', STACK);
    assert.deepEqual({ create, update, replace }, { create: undefined, update: undefined, replace: undefined });
  });

  it('is gone after some more calls, and nothing was deleted while something used it', async () => {
    const failed = failEachOnce('delete');
    await untilDone('destroy', failed);
    assert.ok(failed.size > 10);
    assert.deepEqual(engine.cloud.objects, []);
    assert.deepEqual(engine.state(STACK), []);
  });
});
