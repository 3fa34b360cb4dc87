import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CALLER_ACCOUNT, RealEngine } from './real-engine';

const STACK = 'dev-st-marys';

describe('what the real engine refuses', function () {
  this.timeout(300_000);
  let engine: RealEngine;
  before(async function () {
    engine = await RealEngine.open(this);
  });
  after(() => engine?.close());
  afterEach(() => assert.deepEqual(engine?.cloud.objects ?? [], [], 'something was made'));

  const write = (file: string, change: (text: string) => string): void => {
    const name = path.join(engine.project, file);
    writeFileSync(name, change(readFileSync(name, 'utf8')));
  };
  /** Puts stack file and project file back after `attempt`. */
  const undone = async (attempt: () => Promise<void>): Promise<void> => {
    const files = ['Pulumi.yaml', `Pulumi.${STACK}.yaml`].map((name) => path.join(engine.project, name));
    const texts = files.map((file) => readFileSync(file, 'utf8'));
    try {
      await attempt();
    } finally {
      for (const [i, file] of files.entries()) writeFileSync(file, texts[i]!);
    }
  };

  it('credentials of another account than the one of the hospital', () =>
    undone(async () => {
      engine.configure(STACK, { deploymentRoleArn: undefined });
      await assert.rejects(engine.run('up', STACK), new RegExp(`AWS account ID not allowed: ${CALLER_ACCOUNT}`));
    }));

  it('a wrong configuration, with every fault of it', () =>
    undone(async () => {
      engine.configure(STACK, { accountId: '12', region: 'London', vpcId: 'vpc' });
      await assert.rejects(engine.run('preview', STACK), (error: Error) => {
        assert.match(error.message, /has 7 faults/);
        for (const key of ['accountId', 'region', 'vpcId', 'deploymentRoleArn', 'images.aiaa'])
          assert.ok(error.message.includes(`clara-federation:${key}`));
        return true;
      });
    }));

  it('a value that is not of the type that Pulumi.yaml declares', () =>
    undone(async () => {
      engine.configure(STACK, { datasetNoncurrentVersionDays: 'a fortnight' });
      await assert.rejects(engine.run('preview', STACK), /'datasetNoncurrentVersionDays' must be of type 'integer'/);
    }));

  it('a stack without a value that Pulumi.yaml demands', () =>
    undone(async () => {
      write('Pulumi.yaml', (text) => `${text}  token:\n    type: string\n`);
      await assert.rejects(engine.run('preview', STACK), /missing configuration .*token/);
    }));

  it('a value in clear that Pulumi.yaml declares to be secret', () =>
    undone(async () => {
      write('Pulumi.yaml', (text) => `${text}  token:\n    type: string\n    secret: true\n    default: ""\n`);
      engine.configure(STACK, { token: 'in-clear' });
      await assert.rejects(engine.run('preview', STACK), /'token' must be encrypted as it's secret/);
    }));
});
