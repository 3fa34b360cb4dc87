import assert from 'node:assert/strict';
import { CloudError } from './provider/cloud';
import { RealEngine } from './real-engine';

const SECRET = 'hunter2-and-more';

describe('secrets on the real engine', function () {
  this.timeout(300_000);
  let engine: RealEngine;
  before(async function () {
    engine = await RealEngine.open(this, 'secret-parameter.ts');
    await engine.cli('stack', 'init', 'small');
    const { code, stderr } = await engine.cli('config', 'set', '--secret', 'token', SECRET, '--stack', 'small');
    assert.equal(code, 0, stderr);
  });
  after(() => engine?.close());

  it('reach AWS, and are in clear in no file that the engine writes: state, history, backups, stack file', async () => {
    await engine.run('up', 'small');
    assert.ok(engine.cloud.objects.some(({ properties }) => properties.value === SECRET));
    await engine.run('refresh', 'small');
    assert.ok(engine.writtenText().includes('ciphertext'));
    assert.ok(!engine.writtenText().includes(SECRET));
  });

  it('are in no message, not even when AWS repeats one in its refusal', async () => {
    engine.cloud.before = ({ operation }) => {
      if (operation === 'delete') throw new CloudError(`ValidationException: ${SECRET} is not acceptable`);
    };
    await assert.rejects(engine.run('destroy', 'small'), (error: Error) => {
      assert.match(error.message, /ValidationException/);
      assert.ok(!error.message.includes(SECRET), error.message);
      return true;
    });
    engine.cloud.before = () => {};
  });

  it('are not shown by what prints a stack', async () => {
    const { stdout, stderr } = await engine.cli('stack', 'output', '--json', '--stack', 'small');
    assert.match(stdout, /\[secret\]/);
    assert.ok(!(stdout + stderr).includes(SECRET));
  });
});
