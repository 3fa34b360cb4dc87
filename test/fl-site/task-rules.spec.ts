import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../../base/errors';
import { type Task, TaskSchema } from '../../federation/gen/federation/v1/federation_pb';
import { checkPlan } from '../../federation/plan';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { checkTask } from '../../fl-site/task-checks';

const SITE = checkSiteConfiguration(
  {
    id: 'a',
    coordinator: 'localhost:1',
    credentials: 'c',
    workspace: 'w',
    dataset: { kind: 'none' },
    trainer: { name: 'unet3d', adapter: 'reference' },
  },
  '/',
);
const planOf = (strategy: unknown) => checkPlan({ name: 'p', trainer: { name: 'unet3d' }, rounds: 3, strategy });
const model = (name: string) => ({ name, object: name, size: 10n, sha256: new Uint8Array(32) });

function taskOf(names: readonly string[], more: Partial<Pick<Task, 'kind' | 'track'>> = {}): Task {
  const models = names.map(model);
  const task = { id: 't', kind: 'train', run: 'r', round: 2, rounds: 3, trainer: 'unet3d', track: 'federated' };
  return create(TaskSchema, { ...task, parametersJson: '{}', models, ...more });
}

const faultsOf = (task: Task, strategy: unknown): string[] => {
  try {
    checkTask(task, planOf(strategy), SITE);
    return [];
  } catch (error) {
    assert.ok(error instanceof ClaraError);
    return error.faults.map(({ path }) => path);
  }
};

describe('the rule of a training task', () => {
  it('is that of the plan which the site approved, in federated training only', () => {
    const ruleOf = (task: Task, strategy: unknown) => checkTask(task, planOf(strategy), SITE).rule;
    const fedprox = { name: 'fedprox', mu: 0.5 };
    assert.deepEqual(ruleOf(taskOf(['global']), fedprox), { kind: 'fedprox', mu: 0.5 });
    assert.deepEqual(ruleOf(taskOf(['global', 'controls']), 'scaffold'), { kind: 'scaffold' });
    assert.deepEqual(ruleOf(taskOf(['global']), 'scaffold'), { kind: 'scaffold' });
    assert.deepEqual(ruleOf(taskOf(['global']), 'fedavg'), { kind: 'none' });
    assert.deepEqual(ruleOf(taskOf(['global'], { track: 'alone' }), fedprox), { kind: 'none' });
    assert.deepEqual(ruleOf(taskOf(['global'], { kind: 'evaluate' }), fedprox), { kind: 'none' });
  });

  it('lets a second model in for control variates, and for nothing else', () => {
    assert.deepEqual(faultsOf(taskOf(['global', 'controls']), 'scaffold'), []);
    assert.deepEqual(faultsOf(taskOf(['global', 'other']), 'scaffold'), ['models.1.name']);
    assert.deepEqual(faultsOf(taskOf(['global', 'controls', 'more']), 'scaffold'), ['models']);
    assert.deepEqual(faultsOf(taskOf(['global', 'controls']), 'fedavg'), ['models']);
    assert.deepEqual(faultsOf(taskOf(['global', 'controls'], { track: 'alone' }), 'scaffold'), ['models']);
  });
});
