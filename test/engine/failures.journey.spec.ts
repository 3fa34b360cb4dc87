import assert from 'node:assert/strict';
import { type CloudCall, CloudError } from './provider/cloud';
import { RealEngine } from './real-engine';

const REFUSAL = /ThrottlingException/;

/** Fails each resource the first time; every second one after it has been made. @returns what has failed by now */
function failEachOnce({ cloud }: RealEngine, operation: CloudCall['operation']): ReadonlySet<string> {
  const failed = new Set<string>();
  cloud.before = (call) => {
    if (call.operation !== operation || failed.has(call.urn)) return;
    failed.add(call.urn);
    throw new CloudError('ThrottlingException: Rate exceeded', operation === 'create' && failed.size % 2 === 0);
  };
  return failed;
}

/** Calls until it succeeds; each call must come further than the one before. @returns how many failed */
async function untilDone(call: () => Promise<unknown>, failed: ReadonlySet<string>): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const before = failed.size;
    try {
      await call();
      return attempt;
    } catch (error) {
      assert.match(String(error), REFUSAL);
      assert.ok(failed.size > before, 'the call came no further than the one before');
    }
  }
}

/** Resources of AWS that the engine knows of, in order. */
const known = (engine: RealEngine, stack: string): string[] =>
  engine
    .state(stack)
    .filter(({ type, custom }) => custom && type.startsWith('aws:'))
    .map(({ urn }) => urn)
    .sort();

async function changesNothing(engine: RealEngine, stack: string): Promise<void> {
  const { create, update, replace } = await engine.run('preview', stack);
  assert.deepEqual({ create, update, replace }, { create: undefined, update: undefined, replace: undefined });
}

describe("a site's storage that AWS refuses at every resource, on the real engine", function () {
  this.timeout(300_000);
  const STACK = 'small';
  let engine: RealEngine;
  before(async function () {
    engine = await RealEngine.open(this, 'site-storage.ts');
  });
  after(() => engine?.close());

  it('is whole after some more calls: everything once, nothing lost, nothing twice', async () => {
    const failed = failEachOnce(engine, 'create');
    const attempts = await untilDone(() => engine.run('up', STACK), failed);
    assert.ok(attempts > 1);
    const urns = known(engine, STACK);
    assert.deepEqual([...failed].sort(), urns);
    assert.deepEqual(engine.cloud.objects.map(({ urn }) => urn).sort(), urns);
    engine.cloud.before = () => {};
    await changesNothing(engine, STACK);
  });

  it('is gone after some more calls, and nothing was deleted while something used it', async () => {
    const failed = failEachOnce(engine, 'delete');
    await untilDone(() => engine.run('destroy', STACK), failed);
    assert.ok(failed.size > 10);
    assert.deepEqual(engine.cloud.objects, []);
    assert.deepEqual(engine.state(STACK), []);
  });
});

describe('a whole stack that AWS refuses at every resource, on the real engine', function () {
  this.timeout(1_200_000);
  let engine: RealEngine;
  before(async function () {
    engine = await RealEngine.open(this);
  });
  after(() => engine?.close());

  /** All that can still be made is made beside a failure, so that there are as many calls as resources that wait for one another. */
  async function upWhateverFails(stack: string): Promise<void> {
    const options = ['--yes', '--skip-preview', '--continue-on-error'];
    const { code, stdout, stderr } = await engine.cli('up', '--stack', stack, ...options);
    if (code !== 0) throw new Error(stdout + stderr);
  }

  for (const stack of ['org', 'prod', 'prod-st-marys']) {
    it(`${stack} is whole after some more calls: everything once, nothing lost, nothing twice`, async () => {
      const { code, stderr } = await engine.cli('stack', 'init', stack);
      assert.equal(code, 0, stderr);
      const failed = failEachOnce(engine, 'create');
      const attempts = await untilDone(() => upWhateverFails(stack), failed);
      assert.ok(attempts > 1);
      const urns = known(engine, stack);
      assert.deepEqual([...failed].sort(), urns);
      const made = engine.cloud.objects.map(({ urn }) => urn).filter((urn) => urn.startsWith(`urn:pulumi:${stack}::`));
      assert.deepEqual(made.sort(), urns);
      engine.cloud.before = () => {};
      await changesNothing(engine, stack);
    });
  }
});
