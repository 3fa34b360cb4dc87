import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { TaskSchema } from '../../federation/gen/federation/v1/federation_pb';
import { checkPlan } from '../../federation/plan';
import { checkSiteConfiguration, type SiteConfigurationInput } from '../../fl-site/configuration';
import { checkTask } from '../../fl-site/task-checks';

const site = (statistics: SiteConfigurationInput['statistics'] = { allow: true }) =>
  checkSiteConfiguration(
    {
      ...{ id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } },
      trainer: { name: 't', adapter: 'reference' },
      statistics,
    },
    '/',
  );
const task = (kind: string, models = 0) =>
  create(TaskSchema, {
    ...{ id: 'r/x/1/a', kind, run: 'r', round: 1, rounds: 1, trainer: 't' },
    models: Array.from({ length: models }, () => ({ name: 'm', object: 'o', size: 1n, sha256: new Uint8Array(32) })),
  });
const training = checkPlan({ name: 'p', rounds: 1, trainer: { name: 't' } });
const counting = checkPlan({ name: 'p', rounds: 1, trainer: { name: 't' }, statistics: { bins: 32 } });

describe('a task of statistics', () => {
  it('is done as it was approved, whatever the task says of bins', () => {
    assert.equal(checkTask(task('statistics'), counting, site()).statistics?.bins, 32);
  });

  it('is refused where a run was approved that trains, and training where statistics were', () => {
    assert.throws(() => checkTask(task('statistics'), training, site()), /which were not approved/);
    assert.throws(() => checkTask(task('train', 1), counting, site()), /must be statistics, as approved/);
    assert.doesNotThrow(() => checkTask(task('train', 1), training, site()));
  });

  it('is refused when the policy has changed since, and without an approval', () => {
    const denied = { code: 'permission-denied' };
    assert.throws(() => checkTask(task('statistics'), counting, site({ allow: false })), denied);
    assert.throws(() => checkTask(task('statistics'), counting, site({ allow: true, maximumBins: 16 })), denied);
    assert.throws(() => checkTask(task('statistics'), undefined, site()), denied);
  });
});
