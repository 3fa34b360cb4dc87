import assert from 'node:assert/strict';
import { fleetSteps } from '../../fleet/order';

const ALL = { organization: 'org', coordinator: 'prod', sites: ['prod-a', 'prod-b', 'prod-c'] };

describe('the order of a fleet', () => {
  it('is organisation, coordinator, one site, the other sites', () => {
    for (const verb of ['up', 'refresh'] as const) {
      assert.deepEqual(fleetSteps(verb, ALL), [['org'], ['prod'], ['prod-a'], ['prod-b', 'prod-c']]);
    }
  });

  it('is the other way round when sites are destroyed, and never destroys the organisation', () => {
    assert.deepEqual(fleetSteps('destroy', ALL), [['prod-a'], ['prod-b', 'prod-c'], ['prod']]);
  });

  it('shows all sites of a preview at the same time, because a preview changes nothing', () => {
    assert.deepEqual(fleetSteps('preview', ALL), [['org'], ['prod'], ['prod-a', 'prod-b', 'prod-c']]);
  });

  it('has no step without a stack', () => {
    assert.deepEqual(fleetSteps('up', { sites: ['prod-a'] }), [['prod-a']]);
    assert.deepEqual(fleetSteps('destroy', { coordinator: 'prod', sites: [] }), [['prod']]);
  });
});
