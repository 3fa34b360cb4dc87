import assert from 'node:assert/strict';
import path from 'node:path';
import { RealEngine } from './real-engine';

const PACK = path.resolve(__dirname, '../../policies');

describe('guard-rails on the real engine', function () {
  this.timeout(300_000);

  let engine: RealEngine | undefined;
  afterEach(() => engine?.close());

  /** @param program a small one of `programs/`, or this project */
  async function opened(test: Mocha.Context, program?: string): Promise<RealEngine> {
    engine = await RealEngine.open(test, program, { fromSource: true });
    return engine;
  }

  it('keep a stack that breaks them from being deployed, and say which rule and why', async function () {
    const small = await opened(this, 'secret-parameter.ts');
    await small.cli('stack', 'init', 'small');
    await small.cli('config', 'set', '--secret', 'token', 'whatever', '--stack', 'small');
    await assert.rejects(small.run('up', 'small', PACK), /policy explicit-provider is violated by urn:/);
    assert.deepEqual(small.cloud.objects, []);
  });

  it('let a site of ours through', async function () {
    const project = await opened(this);
    const { create = 0 } = await project.run('preview', 'prod-st-marys', PACK);
    assert.ok(create > 100);
  });
});
